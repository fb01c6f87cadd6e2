internal import CacheFiles
internal import NIOConcurrencyHelpers

/// What could not be written as the image has it, by kind and cause: a count of each, and one example.
///
/// Safe to use from several threads.
final class UnpackNotes: Sendable {
    /// What was left out. The raw value is how a line about it begins.
    enum Kind: String, Hashable {
        case device = "device nodes were left out"
        case attribute = "extended attributes were left out"
        case attributeOfOverlayfs = "extended attributes are those of overlayfs and were left out"
        case owner = "files have another owner than in the image"
    }

    private struct Note: Hashable {
        let kind: Kind
        let error: Errno?
    }

    private let notes = NIOLockedValueBox<[Note: (count: Int, example: String)]>([:])

    /// - Parameters:
    ///   - error: of the call that failed; `nil` if nothing failed.
    ///   - example: what it was about, for the first of its kind.
    func add(_ kind: Kind, _ error: Errno?, _ example: @autoclosure () -> String) {
        notes.withLockedValue { notes in
            let note = Note(kind: kind, error: error)
            if let known = notes[note] {
                notes[note] = (known.count + 1, known.example)
            } else {
                notes[note] = (1, example())
            }
        }
    }

    /// One line for each kind and cause.
    var lines: [String] {
        notes.withLockedValue { notes in
            notes.map { note, found in
                let cause = note.error.map { "\($0), " } ?? ""
                return "\(found.count) \(note.kind.rawValue): \(cause)as for \(found.example)"
            }.sorted()
        }
    }
}
