internal import NIOCore
internal import NIOSSL
internal import NIOTLS

/// Tells when the handshake of a client is over, and how.
final class HandshakeHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer

    private let tls: NIOSSLClientHandler
    private let host: String
    private let handshake: ClientHandshake

    init(_ tls: NIOSSLClientHandler, host: String, _ handshake: ClientHandshake) {
        self.tls = tls
        self.host = host
        self.handshake = handshake
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if TLSEvent.isHandshakeDone(event) { handshake.ready.succeed() }
        context.fireUserInboundEventTriggered(event)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        let refusal = TLSRefusal(explaining: error, host: host, certificate: tls.peerCertificate)
        if let refusal { handshake.refused(refusal) }
        // What comes second to a promise is ignored.
        handshake.ready.fail(refusal ?? error)
        context.fireErrorCaught(refusal ?? error)
    }

    func channelInactive(context: ChannelHandlerContext) {
        handshake.ready.fail(ChannelError.eof)
        context.fireChannelInactive()
    }

    func handlerRemoved(context: ChannelHandlerContext) { handshake.ready.fail(ChannelError.eof) }
}

/// What TLS reports of a connection.
package enum TLSEvent {
    /// Whether an event says that the handshake is over.
    package static func isHandshakeDone(_ event: Any) -> Bool {
        if case .handshakeCompleted? = event as? TLSUserEvent { true } else { false }
    }

    /// Whether an error says that the handshake has failed.
    package static func isHandshakeFailure(_ error: any Error) -> Bool {
        if case .handshakeFailed? = error as? NIOSSLError { true } else { false }
    }

    /// Whether an error says that a client began with a request of plain HTTP.
    package static func isPlainRequest(_ error: any Error) -> Bool {
        guard case .handshakeFailed(let reason)? = error as? NIOSSLError else { return false }
        // BoringSSL has a number for it, of which swift-nio-ssl passes on the text alone.
        return "\(reason)".contains("HTTP_REQUEST")
    }

    /// Whether an error says no more than that the other end left without a goodbye: who counts the bytes of a message
    /// knows by itself whether it is whole.
    package static func isAbruptEnd(_ error: any Error) -> Bool {
        if case .uncleanShutdown? = error as? NIOSSLError { true } else { false }
    }
}
