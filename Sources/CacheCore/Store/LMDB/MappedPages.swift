internal import CacheFiles
internal import Synchronization

/// Keeps small what a process has mapped of the store's file by reading chunks in it, or by writing: LMDB looks at each extent that it frees.
///
/// The pages are page cache, which the system takes back whenever it needs it; but they count as the process's resident memory for as long
/// as they are mapped, and whoever bounds that would see it grow to the size of the store. Unmapping them costs the next reader of a page
/// that is still cached a minor fault for 64 KiB: about 1 % of opening the chunks in it.
final class MappedPages: Sendable {
    private let address: UInt
    private let bytes: Int
    private let limit: Int
    private let touched = Atomic<Int>(0)

    /// - Parameter limit: the bytes that may be touched before they are unmapped; `nil` for no bound.
    init(_ environment: Environment, limit: Int?) {
        address = environment.mapAddress
        bytes = Int(clamping: environment.mapBytes)
        self.limit = limit ?? .max
    }

    /// Notes that `count` bytes were touched in the map. To be called while it is sure to be there: within a transaction that reads, or on
    /// the writer's thread, which is the one that closes the environment.
    func touch(_ count: Int) {
        guard limit < .max, touched.add(count, ordering: .relaxed).newValue >= limit else { return }
        // Who takes the count back to zero unmaps, for all.
        guard touched.exchange(0, ordering: .relaxed) >= limit else { return }
        // Nothing is lost: the map is shared and read-only, and who reads in it at this moment faults the page in again.
        MappedMemory.releasePages(address, bytes: bytes)
    }
}
