internal import NIOCore
internal import NIOSSL
internal import NIOTLS

/// Tells when the handshake of a client is over, and how.
final class HandshakeHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer

    private let tls: NIOSSLClientHandler
    private let host: String
    private var ready: EventLoopPromise<Void>?

    init(_ tls: NIOSSLClientHandler, host: String, ready: EventLoopPromise<Void>) {
        self.tls = tls
        self.host = host
        self.ready = ready
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if TLSEvent.isHandshakeDone(event) { ready.take()?.succeed() }
        context.fireUserInboundEventTriggered(event)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        let error = TLSRefusal(explaining: error, host: host, certificate: tls.peerCertificate) ?? error
        ready.take()?.fail(error)
        context.fireErrorCaught(error)
    }

    func channelInactive(context: ChannelHandlerContext) {
        ready.take()?.fail(ChannelError.eof)
        context.fireChannelInactive()
    }

    func handlerRemoved(context: ChannelHandlerContext) { ready.take()?.fail(ChannelError.eof) }
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

    /// Whether an error says no more than that the other end left without a goodbye: who counts the bytes of a message
    /// knows by itself whether it is whole.
    package static func isAbruptEnd(_ error: any Error) -> Bool {
        if case .uncleanShutdown? = error as? NIOSSLError { true } else { false }
    }
}
