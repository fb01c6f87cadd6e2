internal import CacheBase
package import NIOCore

/// The beginning of one connection with TLS, from a client.
package struct ClientHandshake: Sendable {
    let identity: TLSIdentity?
    let ready: EventLoopPromise<Void>
    let refused: @Sendable (TLSRefusal) -> Void

    /// The handlers that go in front of all others of a connection to `host`, a name or an address. On the
    /// connection's event loop.
    package func handlers(host: String) throws -> [any ChannelHandler] {
        guard let identity else { throw CacheError(.invalidInput, "this client was made without TLS") }
        let tls = try identity.clientHandler(host: host)
        return [tls, HandshakeHandler(tls, host: host, self)]
    }
}
