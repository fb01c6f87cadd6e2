import Glibc
import NIOCore
import NIOPosix

/// A TCP connection that says exactly what a test tells it to say.
struct RawConnection: ~Copyable {
    struct Response {
        let status: Int
        let head: String
        let body: ByteBuffer
    }

    private var inbound: NIOAsyncChannelInboundStream<ByteBuffer>.AsyncIterator
    private let outbound: NIOAsyncChannelOutboundWriter<ByteBuffer>
    private var received = ByteBuffer()

    static func open<Value: Sendable>(
        _ port: Int, receiveBuffer: Int? = nil, isolation: isolated (any Actor)? = #isolation,
        _ body: (inout RawConnection) async throws -> Value
    ) async throws -> Value {
        var bootstrap = ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .connectTimeout(.minutes(5))
            .channelOption(.allowRemoteHalfClosure, value: true)
        if let receiveBuffer {
            bootstrap = bootstrap.channelOption(.socketOption(.so_rcvbuf), value: .init(receiveBuffer))
        }
        let channel = try await bootstrap.connect(host: "127.0.0.1", port: port) { channel in
            channel.eventLoop.makeCompletedFuture {
                try NIOAsyncChannel<ByteBuffer, ByteBuffer>(
                    wrappingChannelSynchronously: channel, configuration: .init(isOutboundHalfClosureEnabled: true))
            }
        }
        return try await channel.executeThenClose { inbound, outbound in
            var connection = RawConnection(inbound: inbound.makeAsyncIterator(), outbound: outbound)
            return try await body(&connection)
        }
    }

    private init(
        inbound: NIOAsyncChannelInboundStream<ByteBuffer>.AsyncIterator,
        outbound: NIOAsyncChannelOutboundWriter<ByteBuffer>
    ) {
        self.inbound = inbound
        self.outbound = outbound
    }

    func send(_ text: String) async throws {
        try await outbound.write(ByteBuffer(string: text))
    }

    func send(_ bytes: ByteBuffer) async throws {
        try await outbound.write(bytes)
    }

    /// Says that nothing more will be sent, and goes on reading.
    func finish() {
        outbound.finish()
    }

    /// The next response; `nil` if the server has closed. `hasBody` is false after a HEAD.
    mutating func response(hasBody: Bool = true) async throws -> Response? {
        while true {
            if let headBytes = received.withUnsafeReadableBytes(Self.headBytes),
                let head = received.readString(length: headBytes)
            {
                received.moveReaderIndex(forwardBy: 4)
                let status = Int(head.split(separator: " ")[1]) ?? 0
                let length = head.split(separator: "\r\n").lazy.compactMap { line -> Int? in
                    line.lowercased().hasPrefix("content-length: ") ? Int(line.dropFirst(16)) : nil
                }.first
                return Response(status: status, head: head, body: try await take(hasBody ? length ?? 0 : 0))
            }
            guard try await receive() else { return nil }
        }
    }

    /// The length of a head that is all there. By libc: a debug build takes a microsecond a byte for it.
    private static func headBytes(_ bytes: UnsafeRawBufferPointer) -> Int? {
        guard let start = bytes.baseAddress else { return nil }
        let end = start + bytes.count
        var next = start
        while let found = memchr(next, 13, end - next).map({ UnsafeRawPointer($0) }), end - found >= 4 {
            if memcmp(found, "\r\n\r\n", 4) == 0 { return found - start }
            next = found + 1
        }
        return nil
    }

    private mutating func take(_ count: Int) async throws -> ByteBuffer {
        while received.readableBytes < count {
            guard try await receive() else { throw ChannelError.eof }
        }
        return received.readSlice(length: count) ?? ByteBuffer()
    }

    private mutating func receive() async throws -> Bool {
        do {
            guard var bytes = try await inbound.next() else { return false }
            received.writeBuffer(&bytes)
            return true
        } catch is IOError {
            return false  // reset by the server: closed, too
        }
    }

    /// Whether the server ends the connection without another byte.
    mutating func isClosed() async throws -> Bool {
        guard received.readableBytes == 0 else { return false }
        return !(try await receive())
    }
}
