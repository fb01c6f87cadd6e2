package import Synchronization

/// A table of numbers that threads read and change without locks, in bounded memory.
///
/// `@unchecked Sendable`: the memory is allocated once, freed by `deinit`, and holds atomics only.
package final class AtomicSlots: @unchecked Sendable {
    package let count: Int
    private let slots: UnsafeMutablePointer<Atomic<UInt32>>

    /// All are 0 at first.
    /// - Parameter count: 4 bytes each.
    package init(count: Int) {
        self.count = count
        slots = UnsafeMutablePointer.allocate(capacity: count)
        for index in 0..<count { (slots + index).initialize(to: Atomic(0)) }
    }

    deinit {
        slots.deinitialize(count: count)
        slots.deallocate()
    }

    /// One of them, below `count`; not to be used once the table is gone.
    package subscript(_ index: Int) -> UnsafeMutablePointer<Atomic<UInt32>> {
        precondition(index >= 0 && index < count, "there are \(count) slots")
        return slots + index
    }
}
