import Synchronization

/// One put of the churn.
struct Put {
    /// Seconds since the beginning when it was committed, and how long it waited for that.
    let at: Double
    let took: Double
    let bytes: Int
    /// Bytes committed until then, these included.
    let written: Int
}

/// What many writers did, in the order in which it was done.
final class ChurnLog: Sendable {
    private struct State {
        var started = 0
        var written = 0
        var puts: [Put] = []
    }
    private let state = Mutex(State())
    private let begin = ContinuousClock.now
    private let limit: Int

    /// - Parameter limit: bytes after which there is no next put.
    init(limit: Int) { self.limit = limit }

    func next() -> Int? {
        state.withLock { state in
            guard state.written < limit else { return nil }
            state.started += 1
            return state.started
        }
    }

    func done(from start: ContinuousClock.Instant, bytes: Int) {
        let end = ContinuousClock.now
        state.withLock { state in
            state.written += bytes
            state.puts.append(
                Put(
                    at: (end - begin) / .seconds(1), took: (end - start) / .seconds(1), bytes: bytes,
                    written: state.written))
        }
    }

    var puts: [Put] { state.withLock(\.puts) }
}
