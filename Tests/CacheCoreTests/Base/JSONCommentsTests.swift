import CacheBase
import Foundation
import TestSupport
import Testing

/// JSON with comments, as people write it into files of configuration.
struct JSONCommentsTests {
    private func blanked(_ text: String) -> String {
        String(decoding: JSONComments.blanked(Array(text.utf8)), as: UTF8.self)
    }

    @Test(arguments: [
        ("{\"a\": 1} // end", "{\"a\": 1}       "), ("{/* a\nb */}", "{    \n    }"), ("[1, 2, ]", "[1, 2  ]"),
        ("[1, // x\n]", "[1      \n]"), ("{\"a\": [1,],}", "{\"a\": [1 ] }"),
        ("{\"a//b\": \"/* \\\" // */\"}", "{\"a//b\": \"/* \\\" // */\"}"), ("[\",]\", 1]", "[\",]\", 1]"),
        // For the parser to refuse.
        ("[1,,]", "[1, ]"), ("/* no end", "/* no end"), ("1 / 2", "1 / 2"), ("\"no end // \\", "\"no end // \\"),
        ("", ""), ("/", "/"),
    ]) func commentsBecomeSpaces(text: String, expected: String) {
        #expect(blanked(text) == expected)
    }

    /// Random documents with comments and commas wherever those may be say what they said before.
    @Test func whatIsLeftIsTheSame() throws {
        var random = SeededGenerator()
        let seed = random.seed
        for _ in 0..<300 {
            let parts = value(&random, depth: 0)
            let plain = parts.joined()
            var written = ""
            for (index, part) in parts.enumerated() {
                let ends = ["}", "]"].contains(part) && index > 0 && !["{", "["].contains(parts[index - 1])
                if ends, Bool.random(using: &random) { written += "," }
                written += comment(&random) + part
            }
            written += comment(&random)
            let result = JSONComments.blanked(Array(written.utf8))
            #expect(result.count == written.utf8.count)
            let options = JSONSerialization.ReadingOptions.fragmentsAllowed
            let before = try JSONSerialization.jsonObject(with: Data(plain.utf8), options: options) as? NSObject
            let after = try JSONSerialization.jsonObject(with: Data(result), options: options) as? NSObject
            #expect(before == after, "seed \(seed): \(written)")
        }
    }

    private func comment(_ random: inout SeededGenerator) -> String {
        ["", " ", "\n", "// x, \"}\n", "/* ] , \" */", "/**/"].randomElement(using: &random) ?? ""
    }

    /// Tokens of a document.
    private func value(_ random: inout SeededGenerator, depth: Int) -> [String] {
        let strings = ["\"\"", "\"a//b\"", "\"/*\"", "\"\\\"\"", "\"\\\\\"", "\",]\""]
        let count = Int.random(in: 0...3, using: &random)
        switch depth < 4 ? Int.random(in: 0..<4, using: &random) : 0 {
        case 1: return ["["] + list((0..<count).map { _ in value(&random, depth: depth + 1) }) + ["]"]
        case 2:
            let members = (0..<count).map { ["\"k\($0)\"", ":"] + value(&random, depth: depth + 1) }
            return ["{"] + list(members) + ["}"]
        case 3: return ["\(Int.random(in: -9...9, using: &random))"]
        default: return [strings.randomElement(using: &random) ?? "null"]
        }
    }

    private func list(_ items: [[String]]) -> [String] { Array(items.joined(separator: [","])) }
}
