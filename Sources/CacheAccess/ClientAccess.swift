internal import CacheBase
internal import CacheFiles
package import Logging
internal import NIOConcurrencyHelpers
package import NIOCore
internal import NIOPosix

/// What a client shows to L2 daemons, its token and its certificate, and whom it trusts. Read again when a file of it
/// changes: beside a request, once a second at most. So a client that does nothing does nothing for this either.
///
/// Files are looked at by one thread at a time, and no caller waits for a disk unless it says so: what was read last
/// counts meanwhile.
package final class ClientAccess: Sendable {
    private struct Watch {
        var token: WatchedFiles
        var complaint: String?
    }

    private struct Current {
        var authorization: String?
        var lastLook: NIODeadline
        var changes = 0
        var underWay: Task<Void, Never>?
    }

    private let tokenPath: String?
    private let identity: TLSIdentity?
    private let logger: Logger
    /// Locked while files are read.
    private let watch: NIOLockedValueBox<Watch>
    private let current: NIOLockedValueBox<Current>
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
        watch = NIOLockedValueBox(Watch(token: watched))
        current = NIOLockedValueBox(Current(authorization: authorization, lastLook: .now()))
    }

    /// The value of the `Authorization` field; `nil` without a token.
    package var authorization: String? { current.withLockedValue { $0.authorization } }

    /// How often what the daemons see has changed: who was refused with another number may try again.
    package var changes: Int { current.withLockedValue { $0.changes } }

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
        if current.withLockedValue({ now - $0.lastLook >= Self.interval }) { _ = beginLook() }
    }

    /// Looks at the files now, and waits for it, however long the disk takes.
    package func look() async {
        let (look, isNew) = beginLook()
        await look.value
        // One that had begun before may have been too early.
        if !isNew { await beginLook().look.value }
    }

    /// The look that is under way; a new one if there is none.
    private func beginLook() -> (look: Task<Void, Never>, isNew: Bool) {
        current.withLockedValue { current in
            if let underWay = current.underWay { return (underWay, false) }
            current.lastLook = .now()
            let look = Task { [self] in
                // It fails only where no thread is left, at the end of the process.
                try? await NIOThreadPool.singleton.runIfActive { self.readChanges() }
                self.current.withLockedValue { $0.underWay = nil }
            }
            current.underWay = look
            return (look, true)
        }
    }

    private func readChanges() {
        if identity?.look() == true { current.withLockedValue { $0.changes += 1 } }
        watch.withLockedValue { watch in
            guard let result = watch.token.look() else { return }
            do {
                let authorization = try Self.authorization(try result.get(), tokenPath)
                current.withLockedValue { current in
                    current.authorization = authorization
                    current.changes += 1
                }
                watch.complaint = nil
            } catch {
                // What goes on is told once.
                let complaint = "\(error)"
                if complaint != watch.complaint {
                    logger.warning("going on with the old token for L2", metadata: ["error": "\(error)"])
                }
                watch.complaint = complaint
            }
        }
    }

    private static func authorization(_ contents: [[UInt8]], _ path: String?) throws -> String? {
        guard let bytes = contents.first, let path else { return nil }
        return "Bearer \(try AccessToken(file: bytes, path: path).text)"
    }
}
