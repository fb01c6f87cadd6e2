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

    /// As ``TLSIdentity/clientHandlers(host:ready:)``.
    package func handlers(host: String, ready: EventLoopPromise<Void>) throws -> [any ChannelHandler] {
        guard let identity else {
            throw CacheError(.invalidInput, "this client was made without TLS")
        }
        return try identity.clientHandlers(host: host, ready: ready)
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

    /// Looks at the files now. Whether the daemons see something else from now on.
    package func look() async -> Bool {
        (try? await NIOThreadPool.singleton.runIfActive { self.look() }) ?? false
    }

    @discardableResult
    private func look() -> Bool {
        let isNewIdentity = identity?.look() ?? false
        let isNewToken = state.withLockedValue { state in
            guard let result = state.token.look() else { return false }
            do {
                let new = try Self.authorization(try result.get(), tokenPath)
                defer { state.authorization = new }
                state.complaint = nil
                return new != state.authorization
            } catch {
                let complaint = "\(error)"
                if complaint != state.complaint {
                    logger.warning("going on with the old token for L2", metadata: ["error": "\(error)"])
                }
                state.complaint = complaint
                return false
            }
        }
        return isNewIdentity || isNewToken
    }

    private static func authorization(_ contents: [[UInt8]], _ path: String?) throws -> String? {
        guard let bytes = contents.first, let path else { return nil }
        return "Bearer \(try AccessToken(file: bytes, path: path).text)"
    }
}
