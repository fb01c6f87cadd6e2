import CacheCore
import NIOCore
import NIOEmbedded
import NIOHTTP1
import TestSupport
import Testing

@testable import CacheServer

/// What is known without the parser is what the parser would have found.
struct RequestMemoTests {
    private static let id = TestChunk(seed: 1).id
    private static let other = TestChunk(seed: 2).id

    private static func get(_ id: ChunkID, fields: String = "Host: x\r\n", method: String = "GET") -> String {
        "\(method) /v1/chunks/\(id.hex) HTTP/1.1\r\n\(fields)\r\n"
    }

    /// A parser with a memo before it, as a connection has them, and a parser alone.
    private struct Parsers {
        var memo = RequestMemo()
        var known = 0
        private var behindMemo = Parser()
        private var alone = Parser()

        /// Gives both the same bytes. False once they cannot be parsed any more.
        mutating func take(_ bytes: ByteBuffer, _ seed: UInt64 = 0) throws -> Bool {
            let parts = alone.parts(of: bytes)
            if let plan = memo.plan(for: bytes) {
                known += 1
                let expected = try #require(parts, "seed \(seed)")
                #expect(expected.count == 2, "seed \(seed)")
                guard case .head(let head)? = expected.first, case .end? = expected.last else {
                    Issue.record("no request: \(expected), seed \(seed)")
                    return false
                }
                let found = RequestPlan(head, limits: ServerLimits())
                #expect("\(found)" == "\(plan)", "seed \(seed)")
                return true
            }
            memo.willParse(bytes)
            let behind = behindMemo.parts(of: bytes)
            for part in behind ?? [] {
                guard case .head(let head) = part else {
                    memo.parsed(part, nil)
                    continue
                }
                memo.parsed(part, RequestPlan(head, limits: ServerLimits()))
            }
            memo.didParse(bytes)
            #expect("\(behind ?? [])" == "\(parts ?? [])", "seed \(seed)")
            return parts != nil
        }
    }

    /// NIO's parser; it gives `nil` from the first error on.
    private final class Parser {
        private let channel = EmbeddedChannel(
            handler: ByteToMessageHandler(HTTPRequestDecoder(leftOverBytesStrategy: .dropBytes)))

        func parts(of bytes: ByteBuffer) -> [HTTPServerRequestPart]? {
            do {
                try channel.writeInbound(bytes)
                var parts: [HTTPServerRequestPart] = []
                while let part = try channel.readInbound(as: HTTPServerRequestPart.self) { parts.append(part) }
                return parts
            } catch {
                return nil
            }
        }
    }

    private func known(after texts: [String], _ last: String) throws -> Bool {
        var parsers = Parsers()
        for text in texts { _ = try parsers.take(ByteBuffer(string: text)) }
        let before = parsers.known
        _ = try parsers.take(ByteBuffer(string: last))
        return parsers.known > before
    }

    @Test(arguments: ["GET", "HEAD"])
    func theSameWordsForAnotherChunkAreKnown(method: String) throws {
        let first = Self.get(Self.id, method: method)
        let second = Self.get(Self.other, method: method)
        #expect(try known(after: [first], first))
        #expect(try known(after: [first], second))
        #expect(try known(after: [first, second], first))
        #expect(try !known(after: [], first))
    }

    @Test func whatDiffersIsNotKnown() throws {
        let first = Self.get(Self.id)
        let name = Self.other.hex
        for text in [
            Self.get(Self.other, fields: "Host: y\r\n"), Self.get(Self.other, fields: "Host: x\r\nA: b\r\n"),
            Self.get(Self.other, method: "PUT"), Self.get(Self.other) + "G", String(Self.get(Self.other).dropLast()),
            first.replacing(Self.id.hex, with: name.dropLast() + "G"),
            first.replacing(Self.id.hex, with: name.uppercased()), first.replacing("HTTP/1.1", with: "HTTP/1.0"),
            first.replacing("/v1/", with: "/v2/"), first + first,
        ] {
            #expect(try !known(after: [first], text), "\(text)")
        }
    }

    /// A request is known only where one begins, whatever came before.
    @Test func whatIsNoRequestIsNotKnown() throws {
        let first = Self.get(Self.id)
        for text in [
            "POST /v1/chunks/missing HTTP/1.1\r\nHost: x\r\nContent-Length: \(first.utf8.count * 2)\r\n\r\n",
            "POST /v1/chunks/missing HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: x\r\nA: ", "GET / HTTP/1.1\r\n", "G", first + "G",
        ] {
            #expect(try !known(after: [first, text], first), "\(text)")
        }
        // A body ends, and a request has come after it: the next one is known again.
        let post = "POST /v1/chunks/missing HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"
        #expect(try !known(after: [first, post], first))
        #expect(try known(after: [first, post, first], first))
        // What ends a head that began before says nothing of requests that begin with it.
        let begun = "GET /v1/chunks/\(Self.id.hex) HTTP/1.1\r\nHost: x\r\nA: "
        #expect(try known(after: [begun, first, first], first))
        #expect(try !known(after: [begun, first], first))
    }

    @Test func requestsThatEndTheConnectionAreNotKnown() throws {
        for fields in ["Host: x\r\nConnection: close\r\n", "Host: x\r\nConnection: upgrade\r\nUpgrade: a\r\n", ""] {
            let text = Self.get(Self.id, fields: fields)
            #expect(try !known(after: [text], text), "\(fields)")
        }
    }

    @Test func longRequestsAreNotKept() throws {
        let text = Self.get(Self.id, fields: "Host: x\r\nA: \(String(repeating: "b", count: 1000))\r\n")
        #expect(try !known(after: [text], text))
    }

    /// Random requests, mutilated, cut and put together at random: whenever one is known, the parser finds the same.
    @Test func theParserAgreesOnRandomInput() throws {
        var random = SeededGenerator()
        let seed = random.seed
        var known = 0
        for _ in 0..<300 {
            var parsers = Parsers()
            for piece in Self.pieces(&random) {
                guard try parsers.take(piece, seed) else { break }
            }
            known += parsers.known
        }
        #expect(known > 100, "seed \(seed)")
    }

    private static func pieces(_ random: inout SeededGenerator) -> [ByteBuffer] {
        let fields = ["Host: x\r\n", "Host: x\r\nLayercache-Worker: a\r\nPrefer: wait=3\r\n", "Host: x\r\nA:\tb \r\n"]
        let usual = fields.randomElement(using: &random) ?? ""
        return (0..<12).flatMap { _ -> [ByteBuffer] in
            let id = Bool.random(using: &random) ? Self.id : Self.other
            var text = get(id, fields: usual)
            let next = get(id, fields: usual)
            switch Int.random(in: 0..<16, using: &random) {
            case 0: text = get(id, fields: usual, method: "HEAD")
            case 1: text = get(id, fields: fields.randomElement(using: &random) ?? "")
            case 2: text = "PUT /v1/chunks/\(id.hex) HTTP/1.1\r\n\(usual)Content-Length: \(next.utf8.count)\r\n\r\n"
            case 3: text = get(id, fields: usual + "Transfer-Encoding: chunked\r\n") + "0\r\n\r\n"
            case 4: text = get(id, fields: usual + "Content-Length: 0\r\n")
            case 5: text = text.replacing("\r\n", with: "\n")
            case 6: text = String(text.dropLast(Int.random(in: 1...4, using: &random)))
            case 7: text = "\r\n" + text
            default: break
            }
            var bytes = Array(text.utf8)
            if Int.random(in: 0..<12, using: &random) == 0, let index = bytes.indices.randomElement(using: &random) {
                bytes[index] = UInt8.random(in: 0...127, using: &random)
            }
            guard Int.random(in: 0..<6, using: &random) == 0, let cut = bytes.indices.randomElement(using: &random)
            else { return [ByteBuffer(bytes: bytes)] }
            return [ByteBuffer(bytes: bytes[..<cut]), ByteBuffer(bytes: bytes[cut...])].filter { $0.readableBytes > 0 }
        }
    }
}
