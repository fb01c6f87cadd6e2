internal import Synchronization

/// How long readers waited for chunks that memory did not have, by the tier that delivered: counts in steps of time.
package struct ReadTimes: Sendable, Hashable {
    /// Of one tier.
    package struct OfTier: Sendable, Hashable {
        /// How many waited no longer than each of ``ReadTimes/bounds`` and longer than the one before, and one count
        /// more of those beyond.
        package var counts = [Int](repeating: 0, count: ReadTimes.bounds.count + 1)
        package var seconds = 0.0
    }

    /// Seconds, ascending.
    package static let bounds: [Double] = [
        0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 30,
    ]

    package var l1 = OfTier()
    package var l2 = OfTier()
    package var l3 = OfTier()
}

/// ``ReadTimes`` that many tasks add to at once, with relaxed atomics.
final class ReadTimeCounter: Sendable {
    private final class OfTier: Sendable {
        private let counts = ReadTimes.bounds.map { _ in Count() } + [Count()]
        private let nanoseconds = Atomic<Int64>(0)

        func add(_ time: Duration) {
            let seconds = time / .seconds(1)
            let step = ReadTimes.bounds.firstIndex { seconds <= $0 } ?? ReadTimes.bounds.count
            counts[step].value.add(1, ordering: .relaxed)
            nanoseconds.add(Int64(seconds * 1e9), ordering: .relaxed)
        }

        var times: ReadTimes.OfTier {
            ReadTimes.OfTier(
                counts: counts.map { $0.value.load(ordering: .relaxed) },
                seconds: Double(nanoseconds.load(ordering: .relaxed)) / 1e9)
        }
    }

    private final class Count: Sendable {
        let value = Atomic<Int>(0)
    }

    private let l1 = OfTier()
    private let l2 = OfTier()
    private let l3 = OfTier()

    func took(_ tier: Tier, _ time: Duration) {
        switch tier {
        case .memory: break
        case .l1: l1.add(time)
        case .l2: l2.add(time)
        case .l3: l3.add(time)
        }
    }

    var times: ReadTimes { ReadTimes(l1: l1.times, l2: l2.times, l3: l3.times) }
}
