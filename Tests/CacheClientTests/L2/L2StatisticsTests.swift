import CacheClient
import CacheCore
import NIOCore
import NIOPosix
import Testing

/// The numbers of a daemon that answers well, badly or not at all.
@Suite(.timeLimit(.minutes(10))) struct L2StatisticsTests {
    /// Sends the same bytes to every request and closes.
    private final class FixedAnswer: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        typealias OutboundOut = ByteBuffer
        private let answer: String

        init(_ answer: String) { self.answer = answer }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            let channel = context.channel
            context.writeAndFlush(wrapOutboundOut(ByteBuffer(string: answer))).whenComplete { _ in
                channel.close(promise: nil)
            }
        }
    }

    private func fetch(answering answer: String) async throws -> String {
        let listener = try await ServerBootstrap(group: .singletonMultiThreadedEventLoopGroup)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(FixedAnswer(answer))
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        let port = try #require(listener.localAddress?.port)
        do {
            let text = try await L2Statistics.fetch(from: "http://127.0.0.1:\(port)")
            try await listener.close()
            return text
        } catch {
            try await listener.close()
            throw error
        }
    }

    @Test(arguments: [
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
        "HTTP/1.0 200 OK\r\n\r\n{}",
    ]) func anyFramingIsUnderstood(_ answer: String) async throws {
        #expect(try await fetch(answering: answer) == "{}")
    }

    @Test(arguments: [
        ("", "it closed the connection without an answer"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}", ""),
        ("HTTP/1.1 200 OK\r\nContent-Length: 2000000\r\n\r\n" + String(repeating: "x", count: 2_000_000), "too long"),
        ("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n", "it answered 503"),
        ("garbage\r\n\r\n", ""),
    ]) func whatIsWrongIsOneError(_ answer: String, _ cause: String) async throws {
        let error = await #expect(throws: CacheError.self) { try await fetch(answering: answer) }
        #expect(error?.code == .io)
        #expect(error?.description.contains("gave no numbers: check the address and the daemon") == true)
        if !cause.isEmpty { #expect(error?.description.contains(cause) == true) }
    }

    @Test func anAddressWithoutADaemonIsAnError() async throws {
        let listener = try await ServerBootstrap(group: .singletonMultiThreadedEventLoopGroup)
            .bind(host: "127.0.0.1", port: 0).get()
        let port = try #require(listener.localAddress?.port)
        try await listener.close()
        let error = await #expect(throws: CacheError.self) {
            try await L2Statistics.fetch(from: "http://127.0.0.1:\(port)")
        }
        #expect(error?.code == .io)
        #expect(error?.description.contains("Connection refused") == true)
        let wrong = await #expect(throws: CacheError.self) { try await L2Statistics.fetch(from: "ftp://x") }
        #expect(wrong?.code == .invalidInput)
    }
}
