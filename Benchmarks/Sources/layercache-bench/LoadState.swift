import Synchronization

/// What the threads of a load share: the next number, the times so far, the first failure.
final class LoadState: Sendable {
    private struct State {
        var next = 0
        var samples: [Double] = []
        var failure: (any Error)?
    }
    private let state = Mutex(State())

    func next(below total: Int) -> Int? {
        state.withLock { state in
            guard state.failure == nil, state.next < total else { return nil }
            state.next += 1
            return state.next - 1
        }
    }

    func done(_ seconds: Double) { state.withLock { $0.samples.append(seconds) } }

    func failed(_ error: any Error) { state.withLock { $0.failure = $0.failure ?? error } }

    func samples() throws -> [Double] {
        try state.withLock { state in
            if let failure = state.failure { throw failure }
            return state.samples
        }
    }
}
