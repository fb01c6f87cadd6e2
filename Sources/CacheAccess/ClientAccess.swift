internal import CacheBase
internal import CacheFiles
package import Logging
internal import NIOConcurrencyHelpers
package import NIOCore
internal import NIOPosix

/// What a client shows to L2 daemons, its token and its certificate, and whom it trusts. Read again when a file of it
/// changes: at the first request after a second in which there was none of these looks. So a client that does nothing
/// does nothing for this either.
package final class ClientAccess: Sendable {
    private struct State {
        var token: WatchedFiles
        var complaint: String?
        var authorization: String?
        var lastLook: NIODeadline
        var changes = 0
    }

    private let tokenPath: String?
    private let identity: TLSIdentity?
    private let logger: Logger
    private let state: NIOLockedValueBox<State>
    private static let tokenKind = SmallFile.Kind("token file", maximumBytes: 4096, privacy: .ownerAndGroup)
    private static let interval = TimeAmount.seconds(1)

    /// Reads the files. Blocks.
    /// - Parameters:
    ///   - tokenPath: the file with the token; `nil` for none.
    ///   - files: for TLS; `nil` where no daemon speaks it.
    package init(tokenPath: String?, tls files: TLSFiles?, logger: Logger) throws {
        self.tokenPath = tokenPath
        self.logger = logger
        identity = try files.map { try TLSIdentity(.client, $0, logger: logger) }
        var watched = WatchedFiles(tokenPath.map { [($0, Self.tokenKind)] } ?? [])
        let authorization = try watched.look().flatMap { try Self.authorization(try $0.get(), tokenPath) }
        state = NIOLockedValueBox(State(token: watched, authorization: authorization, lastLook: .now()))
    }

    /// The value of the `Authorization` field; `nil` without a token.
    package var authorization: String? { state.withLockedValue { $0.authorization } }

    /// How often what the daemons see has changed: who was refused with another number may try again.
    package var changes: Int { state.withLockedValue { $0.changes } }

    /// For a connection with TLS.
    ///
    /// - Parameters:
    ///   - ready: succeeds when the handshake is over; fails with ``TLSRefusal`` if it says why it failed.
    ///   - refused: is told of a refusal whenever it comes: with TLS 1.3, that may be after the handshake.
    package func handshake(
        _ ready: EventLoopPromise<Void>, refused: @escaping @Sendable (TLSRefusal) -> Void
    ) -> ClientHandshake {
        ClientHandshake(identity: identity, ready: ready, refused: refused)
    }

    /// Has the files looked at beside the caller, if that was a while ago.
    package func refresh() {
        guard tokenPath != nil || identity != nil else { return }
        let now = NIODeadline.now()
        let isDue = state.withLockedValue { state in
            guard now - state.lastLook >= Self.interval else { return false }
            state.lastLook = now
            return true
        }
        if isDue { NIOThreadPool.singleton.submit { _ in self.look() } }
    }

    /// Looks at the files now.
    package func look() async {
        // It fails only where no thread is left, at the end of the process.
        try? await NIOThreadPool.singleton.runIfActive { self.look() }
    }

    private func look() {
        let isNewIdentity = identity?.look() ?? false
        state.withLockedValue { state in
            if isNewIdentity { state.changes += 1 }
            guard let result = state.token.look() else { return }
            do {
                state.authorization = try Self.authorization(try result.get(), tokenPath)
                state.changes += 1
                state.complaint = nil
            } catch {
                let complaint = "\(error)"
                if complaint != state.complaint {
                    logger.warning("going on with the old token for L2", metadata: ["error": "\(error)"])
                }
                state.complaint = complaint
            }
        }
    }

    private static func authorization(_ contents: [[UInt8]], _ path: String?) throws -> String? {
        guard let bytes = contents.first, let path else { return nil }
        return "Bearer \(try AccessToken(file: bytes, path: path).text)"
    }
}
