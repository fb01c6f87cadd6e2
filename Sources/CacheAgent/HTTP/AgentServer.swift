internal import CacheCore
internal import CacheFiles
internal import NIOCore
internal import NIOHTTP1
internal import NIOPosix

/// HTTP on the worker's socket: one request a connection.
///
/// A raw NIO pipeline: Hummingbird's application wakes up each second to write the date, and a worker whose mounts are
/// idle does nothing.
package struct AgentServer: Sendable {
    static let mostBodyBytes = 64 << 10
    private static let mostConnections = 256
    /// Longer than any answer takes: a mount has deadlines of its own.
    private static let idleTime = TimeAmount.minutes(5)

    private typealias Connection = NIOAsyncChannel<HTTPServerRequestPart, HTTPServerResponsePart>

    private let listener: NIOAsyncChannel<Connection, Never>

    /// Listens on `path`, which must be free; a connection waits in line until ``serve(_:)``.
    package static func listen(on path: String) async throws -> AgentServer {
        do {
            let listener = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
                .serverChannelOption(.backlog, value: 256)
                .bind(unixDomainSocketPath: path) { channel in
                    channel.eventLoop.makeCompletedFuture {
                        try channel.pipeline.syncOperations.addHandler(IdleStateHandler(allTimeout: idleTime))
                        try channel.pipeline.syncOperations.configureHTTPServerPipeline(withErrorHandling: true)
                        try channel.pipeline.syncOperations.addHandler(IdleConnectionCloser())
                        return try Connection(wrappingChannelSynchronously: channel)
                    }
                }
            // Until now the process's umask has kept others away.
            try reporting("chmod \(path)") { () throws(Errno) in
                try Descriptor.workingDirectory.setMode(of: path, 0o600)
            }
            return AgentServer(listener: listener)
        } catch {
            throw CacheError(.io, "cannot listen on \(path): choose another --socket", cause: error)
        }
    }

    /// Serves until ``stop()``; requests that are under way are answered then.
    package func serve(_ routes: AgentRoutes) async throws {
        let limiter = AsyncLimiter("connections of the worker", capacity: Self.mostConnections, maximumWaiters: 0)
        try await withThrowingDiscardingTaskGroup { group in
            try await listener.executeThenClose { connections in
                for try await connection in connections {
                    let isWelcome = limiter.acquireNow()
                    group.addTask {
                        defer { if isWelcome { limiter.release() } }
                        // A peer that breaks off has no use for an error.
                        try? await Self.serve(connection, isWelcome ? routes : nil)
                    }
                }
            }
        }
    }

    /// Accepts no more connections.
    package func stop() async throws {
        try await listener.channel.close().get()
    }

    private static func serve(_ connection: Connection, _ routes: AgentRoutes?) async throws {
        try await connection.executeThenClose { inbound, outbound in
            var head: HTTPRequestHead?
            var body = ByteBuffer()
            for try await part in inbound {
                switch part {
                case .head(let value): head = value
                case .body(let bytes):
                    guard body.readableBytes + bytes.readableBytes <= mostBodyBytes else {
                        let response = AgentResponse(
                            .payloadTooLarge, error: "a request has at most \(mostBodyBytes) bytes")
                        return try await write(response, to: outbound)
                    }
                    body.writeImmutableBuffer(bytes)
                case .end:
                    guard let head else { return }
                    return try await write(await answer(head, body, routes), to: outbound)
                }
            }
        }
    }

    private static func answer(
        _ head: HTTPRequestHead, _ body: ByteBuffer, _ routes: AgentRoutes?
    ) async -> AgentResponse {
        guard let routes else {
            return AgentResponse(.serviceUnavailable, error: "too many connections: ask again")
        }
        do throws(CacheError) {
            return await routes.respond(to: try AgentRequest(head, body: body))
        } catch {
            return AgentResponse(error)
        }
    }

    private static func write(
        _ response: AgentResponse, to outbound: NIOAsyncChannelOutboundWriter<HTTPServerResponsePart>
    ) async throws {
        var headers: HTTPHeaders = [
            "content-type": response.contentType, "content-length": "\(response.body.count)", "connection": "close",
        ]
        if let wait = response.retryAfter { headers.add(name: "retry-after", value: "\(wait.components.seconds)") }
        try await outbound.write(.head(HTTPResponseHead(version: .http1_1, status: response.status, headers: headers)))
        try await outbound.write(.body(.byteBuffer(ByteBuffer(bytes: response.body))))
        try await outbound.write(.end(nil))
    }
}

/// Closes a connection on which nothing has moved for long.
private final class IdleConnectionCloser: ChannelInboundHandler {
    typealias InboundIn = HTTPServerRequestPart

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if event is IdleStateHandler.IdleStateEvent { return context.close(promise: nil) }
        context.fireUserInboundEventTriggered(event)
    }
}
