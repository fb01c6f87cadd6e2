import CacheCore
import NIOCore
import NIOHTTP1
import NIOPosix
import Testing

@testable import CacheClient

/// A daemon may end a connection that was idle in any way that it likes.
@Suite(.timeLimit(.minutes(10))) struct IdleConnectionTests {
    /// How it answers the second request of a connection, for which there is no answer.
    enum End: CaseIterable, Sendable {
        case close, reset
    }

    private final class OneAnswer: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        typealias OutboundOut = ByteBuffer
        private let end: End
        private var hasAnswered = false

        init(_ end: End) { self.end = end }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            if hasAnswered {
                let channel = context.channel
                guard end == .reset, let options = channel as? any SocketOptionProvider else {
                    return context.close(promise: nil)
                }
                options.setSoLinger(linger(l_onoff: 1, l_linger: 0)).whenComplete { _ in channel.close(promise: nil) }
                return
            }
            hasAnswered = true
            let answer = ByteBuffer(string: "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
            context.writeAndFlush(wrapOutboundOut(answer), promise: nil)
        }
    }

    @Test(arguments: End.allCases) func aRequestOnOneThatWasIdleIsTriedOnceMore(_ end: End) async throws {
        let listener = try await ServerBootstrap(group: .singletonMultiThreadedEventLoopGroup)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(OneAnswer(end))
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        let port = try #require(listener.localAddress?.port)
        let connections = L2ConnectionPool(
            try L2Address(parsing: "http://127.0.0.1:\(port)"), nil, maximum: 1, connectTimeout: .minutes(1),
            deadlines: Deadlines(), buffers: BufferPool(bytes: 1, maximumIdle: 1))
        let request = L2Request(method: .GET, path: "/v1/chunks/00", limit: 100)
        for _ in 0..<20 {
            let answer = try await connections.exchange(request, for: .read, within: .seconds(600))
            #expect(answer.head.status == .notFound)
        }
        await connections.close()
        try await listener.close()
    }
}
