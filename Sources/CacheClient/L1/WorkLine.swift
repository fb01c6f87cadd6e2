internal import CacheCore
internal import NIOConcurrencyHelpers
internal import NIOCore
internal import NIOPosix

/// Short pieces of blocking work, done in order by a few threads of a pool.
///
/// A thread that has taken one goes on with the next one: handing each over by itself costs more than a chunk's read
/// from L1 can lose, as it wakes a thread every time.
final class WorkLine: Sendable {
    private struct State {
        var waiting = CircularBuffer<@Sendable () -> Void>()
        var threads = 0
        /// When work was last begun or done.
        var lastStep = Duration.zero
    }

    private let state = NIOLockedValueBox(State())
    private let pool: NIOThreadPool
    private let threads: Int
    private let capacity: Int
    private let time: TimeSource
    /// Work that takes longer may be one that hangs: no more is taken behind it.
    static let patience = Duration.milliseconds(100)

    /// - Parameters:
    ///   - threads: how many work at the same time.
    ///   - capacity: how many pieces may wait.
    init(on pool: NIOThreadPool, threads: Int, capacity: Int, time: TimeSource) {
        self.pool = pool
        self.threads = max(threads, 1)
        self.capacity = capacity
        self.time = time
    }

    /// Has `work` done soon; it is forgotten if the pool shuts down. Never blocks.
    /// - Returns: false if too much waits, or what is under way takes too long.
    func take(_ work: @escaping @Sendable () -> Void) -> Bool {
        let now = time.now()
        let (isTaken, isThreadWanted) = state.withLockedValue { state -> (Bool, Bool) in
            let isStuck = state.threads > 0 && now - state.lastStep > Self.patience
            guard !isStuck, state.waiting.count < capacity else { return (false, false) }
            state.waiting.append(work)
            guard state.threads < threads else { return (true, false) }
            if state.threads == 0 { state.lastStep = now }
            state.threads += 1
            return (true, true)
        }
        if isThreadWanted {
            pool.submit { [weak self] poolState in
                guard case .active = poolState else { return }
                self?.run()
            }
        }
        return isTaken
    }

    private func run() {
        while let work = next() { work() }
    }

    private func next() -> (@Sendable () -> Void)? {
        let now = time.now()
        return state.withLockedValue { state in
            state.lastStep = now
            if let work = state.waiting.popFirst() { return work }
            state.threads -= 1
            return nil
        }
    }
}
