internal import CacheAccess
internal import Logging
internal import NIOConcurrencyHelpers
internal import NIOCore
internal import NIOPosix

/// The daemon's tokens and certificates, looked at again and again while it runs.
///
/// Looking blocks, so a thread of its own does it, when the sweep of an event loop says so: no timer is added. A look
/// that does not end, because the files are on a disk that hangs, leaves nobody in after a while.
final class ServerAccess: Sendable {
    private struct State {
        var tokens: TokenList?
        /// How long the look under way takes.
        var underWay: RunningTime?
        var isOverdue = false
        var tell: @Sendable (TokenList) -> Void = { _ in }
    }

    /// Speaks TLS for the daemon; `nil` where it speaks plain HTTP.
    let identity: TLSIdentity?
    private let watch: TokenWatch?
    private let thread: NIOThreadPool?
    private let logger: Logger
    private let state: NIOLockedValueBox<State>
    static let patience = TimeAmount.seconds(5)

    /// Reads all files once. Blocks.
    /// - Throws: what is wrong with one of them.
    init(_ security: ServerSecurity, logger: Logger) throws {
        self.logger = logger
        watch = try security.tokensFile.map { try TokenWatch($0, logger: logger) }
        identity = try security.certificateFile.map { certificate in
            try TLSIdentity(
                .server,
                TLSFiles(certificate: certificate, key: security.keyFile, authority: security.clientAuthorityFile),
                logger: logger)
        }
        state = NIOLockedValueBox(State(tokens: watch?.atStart))
        let hasFiles = watch != nil || identity != nil
        thread = hasFiles ? NIOThreadPool(numberOfThreads: 1) : nil
        thread?.start()
    }

    /// The tokens that count now; `nil` where none is asked for.
    var tokens: TokenList? { state.withLockedValue { $0.tokens } }

    /// Whether any client can come in.
    var isUsable: Bool { tokens.map { $0.count > 0 } ?? true }

    /// - Parameter tell: gets each list that counts from then on, on any thread.
    func subscribe(_ tell: @escaping @Sendable (TokenList) -> Void) { state.withLockedValue { $0.tell = tell } }

    /// Has the files looked at. Returns at once; to be called again and again.
    func look(at now: NIODeadline) {
        guard let thread else { return }
        let (isFree, isLate) = state.withLockedValue { state in
            guard var underWay = state.underWay else {
                state.underWay = RunningTime(since: now)
                return (true, false)
            }
            let taken = underWay.step(to: now)
            state.underWay = underWay
            guard watch != nil, !state.isOverdue, taken > Self.patience else { return (false, false) }
            state.isOverdue = true
            return (false, true)
        }
        if isLate {
            logger.error("nobody has access: the token list cannot be read, its disk does not answer")
            use(.empty)
        }
        guard isFree else { return }
        thread.submit { [self] _ in
            identity?.look()
            let new = watch?.look()
            let wasOverdue = state.withLockedValue { state in
                defer {
                    state.underWay = nil
                    state.isOverdue = false
                }
                return state.isOverdue
            }
            if let new { use(new) } else if wasOverdue, let old = watch?.last { use(old) }
        }
    }

    private func use(_ tokens: TokenList) {
        let tell = state.withLockedValue { state in
            state.tokens = tokens
            return state.tell
        }
        tell(tokens)
    }

    /// Ends. A look that hangs is not waited for.
    func close() {
        state.withLockedValue { $0.tell = { _ in } }
        thread?.shutdownGracefully { _ in }
    }
}
