internal import CacheBase
internal import CacheChunks

/// How a capacity in bytes on disk is divided. A pure function of the capacity, so that all processes that share a
/// store agree.
struct StoreBudget: Sendable, Equatable {
    static let minimumCapacity: UInt64 = 4 << 20
    /// 16 TiB; also keeps all arithmetic on pages far from overflow.
    static let maximumCapacity: UInt64 = 16 << 40
    static let readerSlots = 512
    /// Bytes of `lock.mdb`, LMDB's reader table: a head and 64 bytes a slot, in whole pages.
    static let lockFileBytes = 40 << 10
    /// Bytes of `lock.mdb` and our own lock files, rounded up.
    static let sideFileBytes: UInt64 = 64 << 10

    let capacity: UInt64
    /// Bytes of LMDB's map, beyond which LMDB cannot grow `data.mdb`: the hard bound.
    let mapBytes: UInt64
    /// Bytes on disk that chunks may take. The rest is for pages that are free but not yet usable, since those freed by
    /// one commit can be used by the second one after it at the earliest, and for free runs that are too short for an
    /// extent.
    let usableBytes: UInt64
    /// The most sealed bytes in one commit.
    let groupBytes: Int

    init(capacity: UInt64) throws {
        guard capacity >= Self.minimumCapacity, capacity <= Self.maximumCapacity else {
            throw CacheError(
                .invalidInput, "chunk store capacity of \(capacity) bytes: it must be between 4 MiB and 16 TiB")
        }
        self.capacity = capacity
        let page = UInt64(StoreLayout.pageBytes)
        mapBytes = (capacity - Self.sideFileBytes) / page * page
        let group = min(max(capacity / 64, UInt64(ChunkLimits.sealedBytes)), 8 << 20)
        groupBytes = Int(group)
        usableBytes = mapBytes - 4 * group - capacity / 40 - (256 << 10)
    }
}
