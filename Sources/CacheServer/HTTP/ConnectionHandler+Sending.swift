internal import CacheFiles
internal import NIOCore

/// Responses go to the socket at once; through TLS they take the part of the pipeline that encrypts.
extension ConnectionHandler {
    /// Copying so much costs less than a second piece.
    static let shortBytes = 8 * 1024

    /// What the kernel holds for a client that is not known, beyond what that can take now. It takes megabytes
    /// otherwise: to copy them for clients that read nothing keeps others waiting, and they are memory of the machine.
    private static let mostUnsent: SocketOptionValue = 64 * 1024
    private static let unsentOption = ChannelOptions.Types.SocketOption(
        level: .tcp, name: NIOBSDSocket.Option(rawValue: SocketOptionName.unsentLowWater))

    /// Has the kernel take all at once for a client that takes what it asks for, and for no other.
    func boundUnsent() {
        let isBounded = machine.standing != .proven
        guard isBounded != isUnsentBounded, let options = context?.channel.syncOptions else { return }
        isUnsentBounded = isBounded
        // A channel that has no such option, or is at its end, sends as it did.
        try? options.setOption(Self.unsentOption, value: isBounded ? Self.mostUnsent : .max)
    }

    /// The number of the channel's socket; `nil` for one that speaks TLS, or has none. To be used while the channel is
    /// active, by its event loop.
    static func socket(of context: ChannelHandlerContext) -> Descriptor? {
        let operations = context.pipeline.syncOperations
        let found = try? operations.withUnsafeTransportIfAvailable(of: NIOBSDSocket.Handle.self) { $0 }
        return found.map(Descriptor.init)
    }

    /// Sends a response in one flush. Whether the kernel has taken all of it.
    /// - Parameters:
    ///   - start: the head, with the content if that is short.
    ///   - rest: the content otherwise.
    ///   - isLast: the end of the output follows, so TLS is given all at once.
    func send(_ start: ByteBuffer, _ rest: ByteBuffer, isLast: Bool, _ outlet: ChannelHandlerContext) -> Bool {
        if !sendAtOnce(start, rest, outlet) {
            if rest.readableBytes == 0 {
                outlet.writeAndFlush(wrapOutboundOut(start), promise: nil)
            } else {
                outlet.write(wrapOutboundOut(start), promise: nil)
                if let sending, !isLast { return sending.begin(rest, outlet) }
                outlet.writeAndFlush(wrapOutboundOut(rest), promise: nil)
            }
        }
        // The watermark of the channel is one byte: writable means that the kernel has taken everything.
        return outlet.channel.isWritable
    }

    /// Gives a response to the kernel, and what that does not take at once to the channel. False, with nothing done, if
    /// it has to take the pipeline, or the channel has others to send already.
    ///
    /// To pass a response of 4 KiB through the pipeline takes longer than to find its chunk.
    private func sendAtOnce(_ start: ByteBuffer, _ rest: ByteBuffer, _ outlet: ChannelHandlerContext) -> Bool {
        guard let socket, outlet.channel.isActive, outlet.channel.isWritable else { return false }
        var sent = 0
        do throws(Errno) {
            sent = try start.withUnsafeReadableBytes { start throws(Errno) in
                try rest.readableBytes == 0
                    ? socket.send(start)
                    : rest.withUnsafeReadableBytes { rest throws(Errno) in try socket.send(start, rest) }
            }
        } catch {
            // Full or broken: the channel finds out, and deals with it as it always does.
        }
        if sent == start.readableBytes + rest.readableBytes { return true }
        for var piece in [start, rest] {
            let count = min(sent, piece.readableBytes)
            sent -= count
            piece.moveReaderIndex(forwardBy: count)
            if piece.readableBytes > 0 { outlet.write(wrapOutboundOut(piece), promise: nil) }
        }
        outlet.flush()
        return true
    }
}
