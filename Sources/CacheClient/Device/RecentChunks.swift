internal import Synchronization

/// The chunks that were read last on a device: a filesystem reads a chunk in several pieces, and eviction must take them
/// for one read, or any scan would look like what is read again and again.
///
/// A table without locks, in which chunks of the same remainder take each other's place.
final class RecentChunks: Sendable {
    private static let places = 16
    // Never moves, is initialized before anybody sees it and freed after all have gone; the numbers are atomic.
    nonisolated(unsafe) private let numbers = UnsafeMutablePointer<Atomic<Int>>.allocate(capacity: RecentChunks.places)

    init() {
        for index in 0..<Self.places { (numbers + index).initialize(to: Atomic(-1)) }
    }

    deinit {
        numbers.deinitialize(count: Self.places)
        numbers.deallocate()
    }

    /// Whether the chunk was read a moment ago, too; takes note that it is read.
    func isRepeated(_ number: Int) -> Bool {
        let place = numbers + number % Self.places
        if place.pointee.load(ordering: .relaxed) == number { return true }
        place.pointee.store(number, ordering: .relaxed)
        return false
    }
}
