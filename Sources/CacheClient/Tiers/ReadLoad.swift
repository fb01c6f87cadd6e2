internal import Synchronization

/// How many reads are under way below L1: what one of them loses, the cache loses divided by their number.
final class ReadLoad: Sendable {
    private let count = Atomic<Int>(0)
    let machine = MachineLoad()

    func began() { count.add(1, ordering: .relaxed) }

    func ended() { count.subtract(1, ordering: .relaxed) }

    /// At least one: who asks.
    var readers: Int { max(count.load(ordering: .relaxed), 1) }
}
