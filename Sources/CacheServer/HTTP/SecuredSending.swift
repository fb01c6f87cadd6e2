internal import NIOCore

/// Sends a response through TLS piece by piece, each when the kernel has taken the one before.
///
/// TLS copies what it encrypts, and keeps a buffer as large as the most that it was ever given at once, for each
/// connection. So a client that reads slowly holds one piece beside the chunk, which is the cache's own, and an idle
/// connection no more than that either.
final class SecuredSending {
    /// Two records of TLS, which with their headers fit into the buffer of 32 KiB that TLS begins with.
    static let pieceBytes = 30 * 1024
    /// Bytes of one read of the socket: a record of TLS, for which its buffer of 32 KiB is enough.
    static let readBytes = 16 * 1024

    private let tls: any ChannelHandler
    /// What TLS has not been given yet.
    private(set) var rest = ByteBuffer()
    private var isSending = false

    /// - Parameter tls: the handler that speaks TLS.
    init(_ tls: any ChannelHandler) {
        self.tls = tls
    }

    /// Sends what was written before, and then `content`. Whether the kernel has taken all of it.
    func begin(_ content: ByteBuffer, _ context: ChannelHandlerContext) -> Bool {
        rest = content
        return goOn(context)
    }

    /// Sends more. Whether all is sent, and the kernel has it. False, too, for an event that comes while it sends.
    func goOn(_ context: ChannelHandlerContext) -> Bool {
        guard !isSending else { return false }
        isSending = true
        defer { isSending = false }
        while let piece = rest.readSlice(length: min(rest.readableBytes, Self.pieceBytes)), piece.readableBytes > 0 {
            if rest.readableBytes == 0 { drop() }
            context.writeAndFlush(NIOAny(piece), promise: nil)
            guard context.channel.isWritable else { return false }
        }
        return true
    }

    /// Forgets what is left, and lets go of the chunk.
    func drop() { rest = ByteBuffer() }

    /// Closes the connection without the goodbye of TLS, for which the client might be waited.
    func cut(_ context: ChannelHandlerContext) {
        let first = try? context.pipeline.syncOperations.context(handler: tls)
        (first ?? context).close(promise: nil)
    }
}
