internal import CacheCore
internal import NIOConcurrencyHelpers
internal import NIOCore
internal import NIOPosix

/// Short pieces of blocking work, begun in order by a few threads of a pool.
///
/// A thread that has taken one goes on with the next one: handing each over by itself costs more than a chunk's read
/// from L1 can lose, as it wakes a thread every time. While more waits than there are other threads that are free, a
/// thread takes two at once, which may be less work than one after the other.
final class WorkLine<Work: Sendable>: Sendable {
    private struct State {
        var waiting = CircularBuffer<Work>()
        /// Those that run, or will.
        var threads = 0
        /// Those that are within ``body``.
        var atWork = 0
        /// When work was last begun or done.
        var lastStep = Duration.zero
    }

    private let state = NIOLockedValueBox(State())
    private let pool: NIOThreadPool
    private let threads: Int
    private let capacity: Int
    private let time: TimeSource
    private let body: @Sendable (Work, Work?) -> Void
    /// Work that takes longer may be one that hangs: no more is taken behind it.
    static var patience: Duration { .milliseconds(100) }

    /// - Parameters:
    ///   - threads: how many work at the same time.
    ///   - capacity: how many pieces may wait.
    ///   - body: does one piece, or two.
    init(
        on pool: NIOThreadPool, threads: Int, capacity: Int, time: TimeSource,
        _ body: @escaping @Sendable (Work, Work?) -> Void
    ) {
        self.pool = pool
        self.threads = max(threads, 1)
        self.capacity = capacity
        self.time = time
        self.body = body
    }

    /// Has `work` done soon; it is forgotten if the pool shuts down. Never blocks.
    /// - Returns: false if too much waits, or what is under way takes too long.
    func take(_ work: Work) -> Bool {
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
        var hasWorked = false
        while let (first, second) = next(hasWorked: hasWorked) {
            body(first, second)
            hasWorked = true
        }
    }

    private func next(hasWorked: Bool) -> (Work, Work?)? {
        let now = time.now()
        return state.withLockedValue { state in
            state.lastStep = now
            if hasWorked { state.atWork -= 1 }
            if let first = state.waiting.popFirst() {
                let free = threads - 1 - state.atWork
                state.atWork += 1
                return (first, state.waiting.count > free ? state.waiting.popFirst() : nil)
            }
            state.threads -= 1
            return nil
        }
    }
}
