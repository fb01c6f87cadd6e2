import Foundation
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

/// Runs `body` for every number below `total`, on a thread for each worker.
/// - Returns: the seconds of each call, and of all together.
func load<Worker>(
    _ workers: [Worker], total: Int, _ body: @escaping @Sendable (Worker, Int) throws -> Void
) throws -> (samples: [Double], seconds: Double) {
    let shared = LoadState()
    let group = DispatchGroup()
    let start = ContinuousClock.now
    for worker in workers {
        nonisolated(unsafe) let worker = worker  // Each thread has one of its own; this function waits for all.
        group.enter()
        Thread.detachNewThread {
            while let number = shared.next(below: total) {
                let begin = ContinuousClock.now
                do {
                    try body(worker, number)
                    shared.done((ContinuousClock.now - begin) / .seconds(1))
                } catch {
                    shared.failed(error)
                }
            }
            group.leave()
        }
    }
    group.wait()
    return (try shared.samples(), (ContinuousClock.now - start) / .seconds(1))
}
