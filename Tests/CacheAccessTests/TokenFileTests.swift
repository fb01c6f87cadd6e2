import CacheCore
import Foundation
import TestSupport
import Testing

@testable import CacheAccess

/// The file with the tokens, and what a daemon makes of it.
struct TokenFileTests {
    private let directory: TemporaryDirectory

    private var path: String { directory("tokens.json") }

    init() throws { directory = try TemporaryDirectory() }

    private func write(_ text: String, mode: Int = 0o600) throws {
        try Data(text.utf8).write(to: URL(fileURLWithPath: path))
        try FileManager.default.setAttributes([.posixPermissions: mode], ofItemAtPath: path)
    }

    private func code(_ body: () throws -> Void) -> CacheError.Code? {
        do {
            try body()
            return nil
        } catch { return (error as? CacheError)?.code }
    }

    @Test func tokensComeAndGo() throws {
        let reader = try TokenFile.add("worker-1", .read, to: path)
        let writer = try TokenFile.add("ingest", .write, to: path)
        let admin = try TokenFile.add("Operator.a_b", .admin, to: path)
        #expect(try TokenFile.read(path).map(\.name) == ["worker-1", "ingest", "Operator.a_b"])
        let list = TokenList(try TokenFile.read(path))
        #expect(list.scope(of: reader.text.utf8) == .read)
        #expect(list.scope(of: writer.text.utf8) == .write)
        #expect(list.scope(of: admin.text.utf8) == .admin)
        let text = try String(contentsOfFile: path, encoding: .utf8)
        for token in [reader, writer, admin] {
            #expect(!text.contains(token.text.dropFirst(4)))
            #expect(!"\(token)".contains(token.text.dropFirst(4)))
            #expect(!String(reflecting: token).contains(token.text.dropFirst(4)))
        }
        let mode = try FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? Int
        #expect(mode == 0o600)

        #expect(code { _ = try TokenFile.add("ingest", .read, to: path) } == .conflict)
        try TokenFile.remove("ingest", from: path)
        #expect(code { try TokenFile.remove("ingest", from: path) } == .missing)
        let rest = TokenList(try TokenFile.read(path))
        #expect(rest.scope(of: writer.text.utf8) == nil)
        #expect(rest.scope(of: reader.text.utf8) == .read)
        for name in ["", "-a", "a b", "a/b", "é", String(repeating: "a", count: 64)] {
            #expect(code { _ = try TokenFile.add(name, .read, to: path) } == .invalidInput, "\(name)")
        }
        #expect(rest.count == 2)
        // Nothing is left beside it.
        #expect(try FileManager.default.contentsOfDirectory(atPath: directory.path) == ["tokens.json"])
    }

    @Test func everyBitOfATokenCounts() throws {
        let token = try TokenFile.add("one", .admin, to: path)
        let list = TokenList(try TokenFile.read(path))
        let bytes = Array(token.text.utf8)
        #expect(list.scope(of: bytes) == .admin)
        for bit in 0..<bytes.count * 8 {
            var other = bytes
            other[bit / 8] ^= 1 << (bit % 8)
            #expect(list.scope(of: other) == nil, "bit \(bit)")
        }
        #expect(list.scope(of: bytes.dropLast()) == nil)
        #expect(list.scope(of: bytes + [48]) == nil)
        #expect(list.scope(of: []) == nil)
        #expect(list.scope(of: token.hash.hex.utf8) == nil)
        #expect(TokenList.empty.scope(of: bytes) == nil)
    }

    /// Whether a hash is the same is found without a branch: so hashes that differ in one bit are tried, each of them.
    @Test func everyBitOfAHashCounts() throws {
        let token = AccessToken.make()
        let right = TokenFile.Entry(name: "right", scope: .write, hash: token.hash)
        let wrong = try (0..<256).map { bit in
            var bytes = token.hash.withUnsafeBytes { Array($0) }
            bytes[bit / 8] ^= 1 << (bit % 8)
            let hash = try #require(bytes.withUnsafeBytes { SHA256Digest(bytes: $0) })
            return TokenFile.Entry(name: "wrong\(bit)", scope: .admin, hash: hash)
        }
        for entry in wrong { #expect(TokenList([entry]).scope(of: token.text.utf8) == nil) }
        #expect(TokenList(wrong).scope(of: token.text.utf8) == nil)
        #expect(TokenList(wrong + [right]).scope(of: token.text.utf8) == .write)
    }

    @Test func manyAtOnceAllSucceed() async throws {
        try await withThrowingTaskGroup(of: Void.self) { [path] group in
            for number in 0..<12 {
                group.addTask { _ = try TokenFile.add("t\(number)", .read, to: path) }
            }
            try await group.waitForAll()
        }
        #expect(Set(try TokenFile.read(path).map(\.name)) == Set((0..<12).map { "t\($0)" }))
    }

    @Test func fullFileServesAndTakesNoMore() throws {
        let most = TokenFile.maximumEntries
        let tokens = (0..<most).map { _ in AccessToken.make() }
        let entries = tokens.enumerated().map {
            TokenFile.Entry(
                name: "\(String(repeating: "n", count: 58))\($0)", scope: $0 % 2 == 0 ? .read : .write, hash: $1.hash)
        }
        try write(String(decoding: try TokenFile.serialize(entries), as: UTF8.self))
        let list = TokenList(try TokenFile.read(path))
        #expect(list.count == most)
        for number in [0, 1, most / 2, most - 1] {
            #expect(list.scope(of: tokens[number].text.utf8) == (number % 2 == 0 ? .read : .write))
        }
        #expect(list.scope(of: AccessToken.make().text.utf8) == nil)
        #expect(code { _ = try TokenFile.add("more", .read, to: path) } == .limitExceeded)
        let more = entries + [TokenFile.Entry(name: "more", scope: .read, hash: .zero)]
        try write(String(decoding: try TokenFile.serialize(more), as: UTF8.self))
        #expect(code { _ = try TokenFile.read(path) } == .limitExceeded)
        try write(String(repeating: " ", count: 5 << 20))
        #expect(code { _ = try TokenFile.read(path) } == .limitExceeded)
    }

    @Test func whatIsNoTokenListIsRefused() throws {
        let hash = String(repeating: "a", count: 64)
        let entry = #"{"name":"a","scope":"read","sha256":"\#(hash)"}"#
        try write(#"{"version":1,"tokens":[\#(entry)]}"#)
        #expect(try TokenFile.read(path).count == 1)
        for (text, expected) in [
            ("", CacheError.Code.invalidInput), ("{", .invalidInput), ("[]", .invalidInput), ("{}", .invalidInput),
            (#"{"version":2,"tokens":"other"}"#, .unsupported),
            (#"{"version":1,"tokens":[],"more":1}"#, .unsupported),
            (#"{"version":1,"tokens":[{"name":"a","scope":"read","sha256":"\#(hash)","expires":1}]}"#, .unsupported),
            (#"{"version":1,"tokens":[\#(entry),\#(entry)]}"#, .invalidInput),
            (#"{"version":1,"tokens":[\#(entry),\#(entry.replacing("\"a\"", with: "\"b\""))]}"#, .invalidInput),
            (#"{"version":1,"tokens":[\#(entry.replacing("read", with: "root"))]}"#, .invalidInput),
            (#"{"version":1,"tokens":[\#(entry.replacing(hash, with: hash.uppercased()))]}"#, .invalidInput),
            (#"{"version":1,"tokens":[\#(entry.replacing("\"a\"", with: "\"a b\""))]}"#, .invalidInput),
            (#"{"version":1,"tokens":[{"name":"a","scope":"read"}]}"#, .invalidInput),
        ] {
            try write(text)
            #expect(code { _ = try TokenFile.read(path) } == expected, "\(text)")
            // What cannot be read is not written over either.
            #expect(code { _ = try TokenFile.add("new", .read, to: path) } == expected, "\(text)")
            #expect(try String(contentsOfFile: path, encoding: .utf8) == text)
        }
        try write(#"{"version":1,"tokens":[]}"#, mode: 0o622)
        #expect(code { _ = try TokenFile.read(path) } == .key)
        try write(#"{"version":1,"tokens":[]}"#, mode: 0o644)
        #expect(try TokenFile.read(path) == [])
        try FileManager.default.removeItem(atPath: path)
        #expect(code { _ = try TokenFile.read(path) } == .missing)
        #expect(code { try TokenFile.remove("a", from: path) } == .missing)
        #expect(code { _ = try TokenFile.read(directory.path) } == .invalidInput)
    }

    @Test func watchSeesEachChange() throws {
        let first = try TokenFile.add("one", .read, to: path)
        let watch = try TokenWatch(path, logger: .quiet)
        #expect(watch.atStart.scope(of: first.text.utf8) == .read)
        _ = watch.look()
        _ = watch.look()
        #expect(watch.look() == nil)
        let second = try TokenFile.add("two", .write, to: path)
        #expect(watch.look()?.scope(of: second.text.utf8) == .write)
        let whole = try String(contentsOfFile: path, encoding: .utf8)
        // In place, with the same length, as soon as it was looked at.
        try write(whole.replacing("\"write\"", with: "\"admin\""))
        #expect(watch.look()?.scope(of: second.text.utf8) == .admin)
        try write("{")
        #expect(watch.look()?.count == 0)
        #expect(watch.last.count == 0)
        try write(whole)
        #expect(watch.look()?.count == 2)
        try FileManager.default.removeItem(atPath: path)
        #expect(watch.look()?.count == 0)
        _ = try TokenFile.add("three", .read, to: path)
        #expect(watch.look()?.count == 1)
    }
}
