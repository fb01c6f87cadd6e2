/// The text of a JSON document as runtimes, which are written in Go, would take it: the parser would take the first of two members of
/// one name, Go takes the last. One pass without recursion, before the parser sees anything.
struct JSONText {
    /// The text, with blanks in the place of members that a later one of the same name replaces.
    private(set) var bytes: [UInt8]
    /// Arrays and objects nest deeper than was allowed; nothing else is known then.
    private(set) var isTooDeep = false
    /// A string has a control character in it, which Go refuses and the parser takes.
    private(set) var hasControls = false

    private struct Level {
        let isObject: Bool
        /// Where each member lies, the comma behind it included.
        var members: [ArraySlice<UInt8>: Range<Int>] = [:]
        /// The name whose value comes, and where its quotes begin.
        var name: (text: ArraySlice<UInt8>, start: Int)?

        /// The member that is under way ends before `end`.
        /// - Returns: where the one is that it replaces.
        mutating func close(at end: Int) -> Range<Int>? {
            guard let (text, start) = name.take() else { return nil }
            return members.updateValue(start..<end, forKey: text)
        }
    }

    init(_ text: [UInt8], depthLimit: Int) {
        bytes = text
        var levels: [Level] = []
        var replaced: [Range<Int>] = []
        var index = 0
        while index < text.count {
            switch text[index] {
            case UInt8(ascii: "\""):
                let start = index
                index += 1
                while index < text.count, text[index] != UInt8(ascii: "\"") {
                    if text[index] < 0x20 { hasControls = true }
                    index += text[index] == UInt8(ascii: "\\") ? 2 : 1
                }
                guard index < text.count else { return }
                if let level = levels.last, level.isObject, level.name == nil {
                    levels[levels.count - 1].name = (text[start + 1..<index], start)
                }
            case UInt8(ascii: "{"), UInt8(ascii: "["):
                guard levels.count < depthLimit else {
                    isTooDeep = true
                    return
                }
                levels.append(Level(isObject: text[index] == UInt8(ascii: "{")))
            case UInt8(ascii: "}"), UInt8(ascii: "]"):
                if var level = levels.popLast(), let earlier = level.close(at: index) { replaced.append(earlier) }
            case UInt8(ascii: ","):
                if !levels.isEmpty, let earlier = levels[levels.count - 1].close(at: index + 1) {
                    replaced.append(earlier)
                }
            default: break
            }
            index += 1
        }
        for range in replaced {
            for index in range { bytes[index] = UInt8(ascii: " ") }
        }
    }
}
