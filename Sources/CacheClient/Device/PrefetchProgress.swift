internal import CacheCore
internal import NIOConcurrencyHelpers

/// How far the prefetch of one device has come: what failed, and what it takes of the memory that all devices share.
final class PrefetchProgress: Sendable {
    private struct State {
        var failuresInARow = 0
        /// Chunks that could not be had, for another attempt.
        var failed: [UInt32] = []
        /// Chunks that were not even tried.
        var untried = 0
        var error: (any Error)?
        var memoryTaken = 0
    }

    private let share: PrefetchShare
    private let state = NIOLockedValueBox(State())

    init(_ share: PrefetchShare) {
        self.share = share
    }

    deinit { giveMemory() }

    // MARK: Failures

    /// Whether so many chunks in a row could not be had that the next ones are not tried.
    var isGivenUp: Bool { state.withLockedValue { $0.failuresInARow >= Prefetcher.maximumFailures } }

    func succeeded() { state.withLockedValue { $0.failuresInARow = 0 } }

    /// Whether it is given up because of this one.
    func failed(_ number: UInt32, _ error: any Error) -> Bool {
        state.withLockedValue { state in
            state.failuresInARow += 1
            state.failed.append(number)
            state.error = error
            return state.failuresInARow == Prefetcher.maximumFailures
        }
    }

    func lost(_ count: Int, _ error: any Error) {
        state.withLockedValue { state in
            state.untried += count
            state.error = state.error ?? error
        }
    }

    /// The chunks that failed, which do not count as lost if they are tried again.
    func takeFailed() -> [UInt32] {
        state.withLockedValue { state in
            defer { state.failed = [] }
            return state.failed
        }
    }

    /// What could not be had for all attempts, as far as it was tried; `nil` if that is nothing.
    var loss: (chunks: Int, error: any Error)? {
        state.withLockedValue { state in
            let count = state.failed.count + state.untried
            guard count > 0, let error = state.error else { return nil }
            return (count, error)
        }
    }

    // MARK: Memory

    /// Whether so many bytes of plaintext may stay in memory.
    func takeMemory(_ bytes: Int) -> Bool {
        guard share.takeMemory(bytes) else { return false }
        state.withLockedValue { $0.memoryTaken += bytes }
        return true
    }

    func giveMemory() {
        let taken = state.withLockedValue { state in
            defer { state.memoryTaken = 0 }
            return state.memoryTaken
        }
        share.giveMemory(taken)
    }
}
