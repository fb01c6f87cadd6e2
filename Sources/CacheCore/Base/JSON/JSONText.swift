internal import FoundationEssentials

/// The text of a JSON document as runtimes, which are written in Go, would take it, where the parser takes other
/// things: a trailing comma, numbers that begin with a zero, a mark before the first byte; and the first of two members
/// of one name, where Go takes the last. One pass without recursion, before the parser sees anything.
struct JSONText {
    enum Fault: Error {
        /// Arrays and objects nest deeper than was allowed.
        case isTooDeep
        /// A string has a control character in it.
        case hasControls
        /// What is no JSON, and the byte at which that shows.
        case isMalformed(at: Int)
    }

    /// The text, with blanks in the place of members that a later one of the same name replaces.
    private(set) var bytes: [UInt8]

    private var levels: [Level] = []
    private var replaced: [Range<Int>] = []
    private var expected = Expected.value
    private let depthLimit: Int

    private struct Level {
        let isObject: Bool
        /// Where each member lies, the comma behind it included.
        var members: [String: Range<Int>] = [:]
        /// The name whose value comes, and where its quotes begin.
        var name: (text: String, start: Int)?

        /// The member that is under way ends before `end`.
        /// - Returns: where the one is that it replaces.
        mutating func close(at end: Int) -> Range<Int>? {
            guard let (text, start) = name.take() else { return nil }
            return members.updateValue(start..<end, forKey: text)
        }
    }

    /// What may come next.
    private enum Expected {
        case value
        case valueOrEnd
        case name
        case nameOrEnd
        case colon
        case commaOrEnd
        case nothing
    }

    /// - Throws: ``Fault``.
    init(_ text: [UInt8], depthLimit: Int) throws(Fault) {
        bytes = text
        self.depthLimit = depthLimit
        var index = 0
        while index < text.count {
            if !Self.isSpace(text[index]) { try take(text, &index) } else { index += 1 }
        }
        guard expected == .nothing else { throw .isMalformed(at: text.count) }
        for range in replaced {
            for index in range { bytes[index] = UInt8(ascii: " ") }
        }
    }

    /// Takes the token at `index`, which is left behind it.
    private mutating func take(_ text: [UInt8], _ index: inout Int) throws(Fault) {
        let start = index
        let malformed = Fault.isMalformed(at: start)
        switch (text[start], expected) {
        case (UInt8(ascii: "\""), .name), (UInt8(ascii: "\""), .nameOrEnd):
            try Self.skipString(text, &index)
            levels[levels.count - 1].name = (Self.name(text[start + 1..<index - 1]), start)
            expected = .colon
            return
        case (UInt8(ascii: "\""), .value), (UInt8(ascii: "\""), .valueOrEnd):
            try Self.skipString(text, &index)
            endValue()
            return
        case (UInt8(ascii: "{"), .value), (UInt8(ascii: "{"), .valueOrEnd),
            (UInt8(ascii: "["), .value), (UInt8(ascii: "["), .valueOrEnd):
            guard levels.count < depthLimit else { throw .isTooDeep }
            let isObject = text[start] == UInt8(ascii: "{")
            levels.append(Level(isObject: isObject))
            expected = isObject ? .nameOrEnd : .valueOrEnd
        case (UInt8(ascii: "}"), .nameOrEnd), (UInt8(ascii: "}"), .commaOrEnd),
            (UInt8(ascii: "]"), .valueOrEnd), (UInt8(ascii: "]"), .commaOrEnd):
            guard var level = levels.popLast(), level.isObject == (text[start] == UInt8(ascii: "}")) else {
                throw malformed
            }
            if let earlier = level.close(at: start) { replaced.append(earlier) }
            endValue()
        case (UInt8(ascii: ","), .commaOrEnd):
            if let earlier = levels[levels.count - 1].close(at: start + 1) { replaced.append(earlier) }
            expected = levels[levels.count - 1].isObject ? .name : .value
        case (UInt8(ascii: ":"), .colon): expected = .value
        case (_, .value), (_, .valueOrEnd):
            while index < text.count, !Self.isSpace(text[index]), !Self.marks.contains(text[index]) { index += 1 }
            guard Self.isLiteral(text[start..<index]) else { throw malformed }
            endValue()
            return
        default: throw malformed
        }
        index += 1
    }

    private mutating func endValue() { expected = levels.isEmpty ? .nothing : .commaOrEnd }

    private static let marks = Array("\",:{}[]".utf8)

    private static func isSpace(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x09 || byte == 0x0A || byte == 0x0D }

    /// From its first quote to behind its last.
    private static func skipString(_ text: [UInt8], _ index: inout Int) throws(Fault) {
        let start = index
        index += 1
        while index < text.count, text[index] != UInt8(ascii: "\"") {
            if text[index] < 0x20 { throw .hasControls }
            if text[index] == UInt8(ascii: "\\") {
                index += 1
                let digits = index < text.count && text[index] == UInt8(ascii: "u") ? 4 : 0
                let isEscape =
                    index + digits < text.count && Array("\"\\/bfnrtu".utf8).contains(text[index])
                    && text[index + 1..<index + 1 + digits].allSatisfy { Character(UnicodeScalar($0)).isHexDigit }
                guard isEscape else { throw .isMalformed(at: index) }
                index += digits
            }
            index += 1
        }
        guard index < text.count else { throw .isMalformed(at: start) }
        index += 1
    }

    /// Whether that is `true`, `false`, `null` or a number.
    private static func isLiteral(_ text: ArraySlice<UInt8>) -> Bool {
        guard let first = text.first else { return false }
        if first > UInt8(ascii: "9") { return ["true", "false", "null"].contains { $0.utf8.elementsEqual(text) } }
        var rest = text
        func skipDigits() -> Int {
            let count = rest.prefix { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }.count
            rest.removeFirst(count)
            return count
        }
        func skip(_ bytes: UInt8...) -> Bool {
            guard let next = rest.first, bytes.contains(next) else { return false }
            rest.removeFirst()
            return true
        }
        _ = skip(UInt8(ascii: "-"))
        let isZero = rest.first == UInt8(ascii: "0")
        let count = skipDigits()
        guard isZero ? count == 1 : count > 0 else { return false }
        if skip(UInt8(ascii: ".")), skipDigits() == 0 { return false }
        if skip(UInt8(ascii: "e"), UInt8(ascii: "E")) {
            _ = skip(UInt8(ascii: "+"), UInt8(ascii: "-"))
            if skipDigits() == 0 { return false }
        }
        return rest.isEmpty
    }

    /// The name of a member, which the decoder will see: without escapes, and that of the field whose name it is but
    /// for its case.
    private static func name(_ text: ArraySlice<UInt8>) -> String {
        var name = String(decoding: text, as: UTF8.self)
        if text.contains(UInt8(ascii: "\\")) {
            let quote = [UInt8(ascii: "\"")]
            name = (try? JSONDecoder().decode(String.self, from: Data(quote + text + quote))) ?? name
        }
        return JSONDocument.field(name)
    }
}
