internal import Glibc
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
        let number: Int32
    }

    private let notes = NIOLockedValueBox<[Note: (count: Int, example: String)]>([:])

    /// - Parameters:
    ///   - number: `errno` of the call that failed; 0 if nothing failed.
    ///   - example: what it was about, for the first of its kind.
    func add(_ kind: Kind, _ number: Int32, _ example: @autoclosure () -> String) {
        notes.withLockedValue { notes in
            let note = Note(kind: kind, number: number)
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
                let cause = note.number == 0 ? "" : "\(String(cString: strerror(note.number))), "
                return "\(found.count) \(note.kind.rawValue): \(cause)as for \(found.example)"
            }.sorted()
        }
    }
}
