internal import CacheFiles
internal import Synchronization

/// Bounds the resident memory that a process has through the map of the data file, by unmapping pages every so many
/// bytes read or replaced.
///
/// The pages are page cache, which the kernel takes back when it needs memory. But they count as resident memory of the
/// process (RSS) while they are mapped: a read maps pages of the index, and the kernel those around each, so without
/// this it would grow with the store. Unmapping costs the next reader of a page that is still cached a minor fault.
final class MappedPages: Sendable {
    /// What a look-up of a chunk maps: its record and its extents' places, each with 64 KiB around it.
    static let indexBytes = 128 << 10

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

    /// Notes that `count` bytes were touched in the map. To be called while it is sure to be there: within a
    /// transaction that reads, or on the writer's thread, which is the one that closes the environment.
    func touch(_ count: Int) {
        guard limit < .max, touched.add(count, ordering: .relaxed).newValue >= limit else { return }
        // One thread takes the count back to zero, and that one unmaps.
        guard touched.exchange(0, ordering: .relaxed) >= limit else { return }
        // Nothing is lost: the map is shared and read-only, and who reads in it at this moment faults the page in
        // again.
        MappedMemory.releasePages(address, bytes: bytes)
    }
}
