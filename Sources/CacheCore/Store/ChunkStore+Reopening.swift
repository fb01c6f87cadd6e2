internal import CacheBase
internal import Logging
internal import NIOConcurrencyHelpers
internal import NIOPosix

/// The work of closing, checking and opening files again that were damaged or failed in use, and the writes that wait
/// for its end.
final class Reopening: Sendable {
    private struct State {
        var task: Task<Void, Never>?
        var waiting: [CheckedContinuation<Void, Never>] = []
        var isOver = false
    }

    private let state = NIOLockedValueBox(State())

    /// Begins; `work` ends when the store is open again or closed.
    func begin(_ work: @escaping @Sendable () async -> Void) {
        state.withLockedValue { state in
            state.task = Task { [self] in
                await work()
                release()
            }
        }
    }

    /// Returns once it is over, or has taken longer than a writer should wait.
    func wait() async {
        await withCheckedContinuation { continuation in
            let isOver = state.withLockedValue { state in
                if !state.isOver { state.waiting.append(continuation) }
                return state.isOver
            }
            if isOver { continuation.resume() }
        }
    }

    /// Resumes all that wait; later calls of ``wait()`` return at once.
    func release() {
        let waiting = state.withLockedValue { state in
            state.isOver = true
            defer { state.waiting = [] }
            return state.waiting
        }
        for continuation in waiting { continuation.resume() }
    }

    /// Cancels the work and waits for its end, because the store is being closed.
    func stop() async {
        let task = state.withLockedValue { $0.task }
        task?.cancel()
        await task?.value
    }
}

extension ChunkStore {
    /// How long writes wait for the store to be opened again.
    private static let patience = Duration.seconds(5)
    /// A write that meets this many broken sessions in a row gives up.
    private static let maximumTries = 4
    /// The longest pause between two attempts that failed.
    private static let longestPause = Duration.seconds(30)
    /// The longest pause before the first attempt: shorter than writers wait.
    private static let longestFirstPause = Duration.seconds(4)
    /// A session that has lasted longer than this many seconds was sound.
    private static let soundSeconds: UInt32 = 60

    func openSession(suspect: Bool) throws -> StoreSession {
        try StoreSession(directory, options, suspect: suspect, counters, logger) { [weak self] session, reason in
            self?.reopen(after: session, reason)
        }
    }

    /// Runs `body` with the open session, and again with the next one if the session breaks meanwhile.
    func writing<T>(_ body: (StoreSession) async throws -> T) async throws -> T {
        for _ in 0..<Self.maximumTries {
            let (session, reopening) = try phase.withLockedValue { phase -> (StoreSession?, Reopening?) in
                switch phase {
                case .open(let session): return (session, nil)
                case .reopening(let reopening): return (nil, reopening)
                case .closed: throw CacheError(.closed, "the chunk store \(directory) is closed")
                }
            }
            if let session {
                do {
                    return try await body(session)
                } catch is StoreSession.Broken {
                    // The latch may be set before its observer has run.
                    reopen(after: session, "")
                    continue
                }
            }
            guard options.waitsForReopening else { break }
            await reopening?.wait()
            let isStillOut = phase.withLockedValue {
                if case .reopening(let now) = $0 { now === reopening } else { false }
            }
            if isStillOut { break }
        }
        throw CacheError(
            .overloaded, "the chunk store \(directory) is out of order and is being opened again: try later")
    }

    /// Closes the broken session, and opens the files again: at once the first time, after longer and longer pauses if
    /// that does not last.
    private func reopen(after session: StoreSession, _ reason: String) {
        let reopening = phase.withLockedValue { phase -> Reopening? in
            guard case .open(let current) = phase, current === session else { return nil }
            let reopening = Reopening()
            phase = .reopening(reopening)
            return reopening
        }
        guard let reopening else { return }
        logger.error(
            "chunk store is out of order: it is closed, checked and opened again",
            metadata: ["directory": "\(directory)", "reason": "\(reason)"])
        reopening.begin { [self] in
            await reopenFiles(after: session, reopening)
        }
    }

    private func reopenFiles(after session: StoreSession, _ reopening: Reopening) async {
        let clock = options.clock
        let expiry = Task {
            try await clock.sleep(for: Self.patience)
            reopening.release()
        }
        defer { expiry.cancel() }
        await session.close()
        var pause = firstPause()
        let thread = NIOThreadPool(numberOfThreads: 1)
        thread.start()
        var isTold = false
        while !Task.isCancelled {
            do {
                if pause > .zero { try await clock.sleep(for: pause) }
                let session = try await thread.runIfActive { try self.openSession(suspect: true) }
                await install(session, reopening)
                break
            } catch is CancellationError {
                break
            } catch {
                if !isTold { logger.error("chunk store cannot be opened again yet", metadata: ["reason": "\(error)"]) }
                isTold = true
                pause = min(max(pause * 2, .seconds(1)), Self.longestPause)
            }
        }
        thread.shutdownGracefully { _ in }
    }

    private func install(_ session: StoreSession, _ reopening: Reopening) async {
        let isWanted = phase.withLockedValue { phase in
            guard case .reopening(let current) = phase, current === reopening else { return false }
            phase = .open(session)
            return true
        }
        // The store was closed meanwhile.
        guard isWanted else { return await session.close() }
        counters.reopenings.count()
        logger.info(
            "chunk store is open again",
            metadata: ["directory": "\(directory)", "chunks": "\(session.state?.chunks ?? 0)"])
        // It may have broken before `phase` held it, so that its report was ignored.
        if session.isBroken { reopen(after: session, "broken again") }
    }

    /// The pause before the first attempt: none if the last session lasted, else longer with each session that did not.
    private func firstPause() -> Duration {
        let now = StoreWriter.seconds()
        let inARow = recent.withLockedValue { recent in
            recent.count = now &- recent.last < Self.soundSeconds && recent.last > 0 ? recent.count + 1 : 0
            recent.last = max(now, 1)
            return recent.count
        }
        return inARow == 0 ? .zero : min(.milliseconds(250) * (1 << min(inARow, 8)), Self.longestFirstPause)
    }
}
