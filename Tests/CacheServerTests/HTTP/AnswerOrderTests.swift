import CacheCore
import NIOCore
import NIOEmbedded
import TestSupport
import Testing

@testable import CacheServer

/// Who waits is answered before who was answered meanwhile, whatever the kernel lists first.
struct AnswerOrderTests {
    /// Clients that ask again at any time after an answer, and the kernel's list of those that have asked.
    private final class Crowd {
        final class Client: OrderedWork {
            var lastAnswer: UInt64 = 0
            /// How many answers there had been when it asked; `nil` while it does not wait.
            var asked: Int?
            unowned let crowd: Crowd

            init(_ crowd: Crowd) { self.crowd = crowd }

            func answer() { crowd.answer(self) }
        }

        private(set) var clients: [Client] = []
        private(set) var answers = 0
        /// The most answers that others got while one waited.
        private(set) var longest = 0
        private var listed: [Client] = []
        private var random: SeededGenerator
        private let loop = EmbeddedEventLoop()
        private let order: AnswerOrder

        init(count: Int, seed: UInt64) {
            random = SeededGenerator(seed: seed)
            order = AnswerOrder(on: loop)
            clients = (0..<count).map { _ in Client(self) }
        }

        private func answer(_ client: Client) {
            guard let asked = client.asked.take() else {
                Issue.record("answered without a request")
                return
            }
            longest = max(longest, answers - asked)
            answers += 1
            ask()
        }

        private func ask() {
            for client in clients where client.asked == nil && Int.random(in: 0..<3, using: &random) == 0 {
                client.asked = answers
            }
        }

        /// One go of an event loop: those come first that were listed the last time.
        func go() {
            ask()
            let again = listed.filter { $0.asked != nil }
            let others = clients.filter { client in client.asked != nil && !again.contains { $0 === client } }
            listed = again + others.sorted { ($0.asked ?? 0) < ($1.asked ?? 0) }
            let before = answers
            for client in listed { order.wait(client) }
            loop.run()
            #expect(answers - before == listed.count)
        }
    }

    @Test(arguments: [2, 16, 100]) func nobodyIsAnsweredTwiceWhileAnotherWaits(count: Int) {
        let seed = UInt64.random(in: 0...UInt64.max)
        let crowd = Crowd(count: count, seed: seed)
        for _ in 0..<(4_000 / count) { crowd.go() }
        #expect(crowd.longest < count, "seed \(seed)")
        #expect(crowd.answers > 1_000, "seed \(seed)")
    }

    /// The end of the input comes while the request before it waits for its place.
    @Test func knownClientThatSendsNoMoreGetsItsAnswer() async throws {
        try await TestServer.run { server async throws in
            let chunk = TestChunk(seed: 1, length: 4096)
            #expect(try await server.put(chunk).status == 201)
            try await RawConnection.open(server.port) { connection async throws in
                let request = "GET /v1/chunks/\(chunk.id.hex) HTTP/1.1\r\nHost: x\r\n\r\n"
                for _ in 0..<4 {
                    try await connection.send(request)
                    #expect(try await connection.response()?.body == chunk.bytes)
                }
                try await connection.send(request)
                connection.finish()
                #expect(try await connection.response()?.body == chunk.bytes)
                #expect(try await connection.isClosed())
            }
        }
    }

    /// A request of a known client that comes in pieces, or with others behind it, is answered as any other.
    @Test func knownClientMaySendPiecesAndMore() async throws {
        try await TestServer.run { server async throws in
            let chunk = TestChunk(seed: 1, length: 4096)
            #expect(try await server.put(chunk).status == 201)
            try await RawConnection.open(server.port) { connection async throws in
                let request = "GET /v1/chunks/\(chunk.id.hex) HTTP/1.1\r\nHost: x\r\n\r\n"
                let head = "HEAD /v1/chunks/\(chunk.id.hex) HTTP/1.1\r\nHost: x\r\n\r\n"
                for count in 0..<30 {
                    let cut = request.index(request.startIndex, offsetBy: (count * 7) % request.count)
                    try await connection.send(String(request[..<cut]))
                    try await connection.send(request[cut...] + head + request)
                    #expect(try await connection.response()?.body == chunk.bytes)
                    #expect(try await connection.response(hasBody: false)?.status == 200)
                    #expect(try await connection.response()?.body == chunk.bytes)
                }
            }
        }
    }
}
