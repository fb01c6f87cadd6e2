/// What of a tree an EROFS image does not have, by reason: a count of each, and one example.
struct ErofsNotes: Sendable {
    /// What was left out. The raw value is how a line about it begins.
    enum Reason: String, CaseIterable, Sendable {
        case attributeName = "extended attributes have names that Linux keeps on no disk and were left out"
        case attributeValue = "extended attributes have values that Linux refuses and were left out"
        case attributePlace = "extended attributes belong to what can have none of them and were left out"
        case attributeSize = "extended attributes are too long for an image's metadata and were left out"
        case attributeOfOverlayfs = "extended attributes are those of overlayfs and were left out"
        case device = "device nodes have numbers that Linux does not have and were left out"
    }

    private var found: [Reason: (count: Int, example: String)] = [:]

    mutating func add(_ reason: Reason, _ example: @autoclosure () -> String) {
        if let known = found[reason] {
            found[reason] = (known.count + 1, known.example)
        } else {
            found[reason] = (1, example())
        }
    }

    /// One line for each reason.
    var lines: [String] {
        Reason.allCases.compactMap { reason in
            found[reason].map { "\($0.count) \(reason.rawValue): as for \($0.example)" }
        }
    }
}
