internal import CacheCore
internal import NIOConcurrencyHelpers
internal import Synchronization

/// Which chunks of a device were touched, in which order, and which of them were fetched before: one bit each, and an
/// entry in a list at the first touch.
///
/// Costs an atomic load for each further touch.
final class ChunkTouches: Sendable {
    /// One bit for each chunk. `Atomic` cannot be in an array.
    private final class Bits: Sendable {
        private static let bitsPerWord = 64
        // Never moves, is initialized before anybody sees it and freed after all have gone; the words are atomic.
        nonisolated(unsafe) private let words: UnsafeMutablePointer<Synchronization.Atomic<UInt64>>
        private let count: Int

        init(_ bits: Int) {
            count = (bits + Self.bitsPerWord - 1) / Self.bitsPerWord
            words = .allocate(capacity: count)
            for index in 0..<count { (words + index).initialize(to: Synchronization.Atomic(0)) }
        }

        deinit {
            words.deinitialize(count: count)
            words.deallocate()
        }

        func contains(_ bit: Int) -> Bool {
            words[bit / Self.bitsPerWord].load(ordering: .relaxed) & mask(bit) != 0
        }

        /// Whether it was not set before.
        func insert(_ bit: Int) -> Bool {
            let old = words[bit / Self.bitsPerWord].bitwiseOr(mask(bit), ordering: .relaxed).oldValue
            return old & mask(bit) == 0
        }

        func remove(_ bit: Int) {
            words[bit / Self.bitsPerWord].bitwiseAnd(~mask(bit), ordering: .relaxed)
        }

        private func mask(_ bit: Int) -> UInt64 { 1 << UInt64(bit % Self.bitsPerWord) }
    }

    private let touched: Bits
    private let fetchedAhead: Bits
    /// Chunks in order of first touch; `nil` where nobody wants to know.
    private let order: NIOLockedValueBox<[UInt32]?>
    private let prefetchedCount = Synchronization.Atomic<Int>(0)
    private let usedCount = Synchronization.Atomic<Int>(0)

    /// - Parameter count: how many chunks there are.
    init(count: Int, isRecording: Bool) {
        touched = Bits(count)
        fetchedAhead = Bits(count)
        order = NIOLockedValueBox(isRecording ? [] : nil)
    }

    /// A reader wants something of a chunk.
    func touch(_ number: Int) {
        if touched.contains(number) || !touched.insert(number) { return }
        if fetchedAhead.contains(number) { usedCount.add(1, ordering: .relaxed) }
        order.withLockedValue { order in
            if let count = order?.count, count < ImageTrace.maximumChunks { order?.append(UInt32(number)) }
        }
    }

    /// A chunk is about to be fetched before anybody wants it; false if that is too late, or has been done.
    func beginPrefetch(_ number: Int) -> Bool {
        guard !touched.contains(number), fetchedAhead.insert(number) else { return false }
        prefetchedCount.add(1, ordering: .relaxed)
        return true
    }

    /// It could not be fetched, or need not be.
    func undoPrefetch(_ number: Int) {
        fetchedAhead.remove(number)
        prefetchedCount.subtract(1, ordering: .relaxed)
    }

    /// Chunks that were fetched before anybody wanted them, and those of them that were wanted since.
    var prefetched: (chunks: Int, used: Int) {
        let chunks = prefetchedCount.load(ordering: .relaxed)
        return (chunks, min(usedCount.load(ordering: .relaxed), chunks))
    }

    /// Whether anything was touched since it was made.
    var recorded: [UInt32]? { order.withLockedValue { $0 } }

    /// Forgets the order, and keeps no further one.
    func stopRecording() { order.withLockedValue { $0 = nil } }
}
