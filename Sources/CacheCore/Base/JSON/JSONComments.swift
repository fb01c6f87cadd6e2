/// JSON as people write it into files of configuration, with comments and commas after the last value, as JSON that
/// every parser takes.
package enum JSONComments {
    /// The text with each comment (`//` to the end of its line, `/*` to `*/`) and each comma before `}` or `]` as
    /// spaces: lines and columns of what is left stay, so that errors name the right place. A comment without an end
    /// is left as it is, for the parser to refuse. One pass, without recursion.
    package static func blanked(_ bytes: [UInt8]) -> [UInt8] {
        var text = bytes
        var index = 0
        var comma: Int?
        while index < text.count {
            switch text[index] {
            case UInt8(ascii: "\""):
                comma = nil
                index = endOfString(text, from: index)
                continue
            case UInt8(ascii: "/"):
                if let end = endOfComment(text, from: index) {
                    for place in index..<end where !isLineEnd(text[place]) { text[place] = UInt8(ascii: " ") }
                    index = end
                    continue
                }
                comma = nil
            case UInt8(ascii: ","): comma = index
            case UInt8(ascii: "}"), UInt8(ascii: "]"):
                if let comma { text[comma] = UInt8(ascii: " ") }
                comma = nil
            case UInt8(ascii: " "), UInt8(ascii: "\t"), UInt8(ascii: "\n"), UInt8(ascii: "\r"): break
            default: comma = nil
            }
            index += 1
        }
        return text
    }

    private static func isLineEnd(_ byte: UInt8) -> Bool { byte == UInt8(ascii: "\n") || byte == UInt8(ascii: "\r") }

    /// The place after the quote that ends the string, or the end of the text.
    private static func endOfString(_ text: [UInt8], from start: Int) -> Int {
        var index = start + 1
        while index < text.count, text[index] != UInt8(ascii: "\"") {
            index += text[index] == UInt8(ascii: "\\") ? 2 : 1
        }
        return min(index + 1, text.count)
    }

    /// The place after the comment that begins at `start`; `nil` if none does.
    private static func endOfComment(_ text: [UInt8], from start: Int) -> Int? {
        guard start + 1 < text.count else { return nil }
        switch text[start + 1] {
        case UInt8(ascii: "/"):
            return text[start...].firstIndex(where: isLineEnd) ?? text.count
        case UInt8(ascii: "*"):
            var index = start + 2
            while index + 1 < text.count {
                if text[index] == UInt8(ascii: "*"), text[index + 1] == UInt8(ascii: "/") { return index + 2 }
                index += 1
            }
            return nil
        default: return nil
        }
    }
}
