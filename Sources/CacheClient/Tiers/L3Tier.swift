internal import CacheCore
internal import NIOCore

/// L3 as the reader sees it: every read has a deadline, and those of chunks are bounded in number, with a bounded queue before them.
struct L3Tier: Sendable {
    let store: any ObjectStore
    private let deadline: Duration
    private let limit: AsyncLimiter
    private let queue: Int
    private let deadlines: Deadlines

    init(_ settings: L3Settings, deadlines: Deadlines) {
        store = settings.store
        deadline = settings.deadline
        limit = AsyncLimiter("reads of L3", capacity: settings.concurrency, maximumWaiters: settings.queue)
        queue = settings.queue
        self.deadlines = deadlines
    }

    /// Whether it is so busy that a new image should not be opened now.
    var isOverloaded: Bool { limit.waiting >= queue }

    /// A sealed chunk as it is stored, not checked.
    /// - Throws: `.missing` that names the object; `.timedOut`, `.overloaded`; what the store throws.
    func chunk(_ id: ChunkID, in generation: Generation) async throws -> ByteBuffer {
        let key = L3Layout.chunk(id, in: generation)
        // The first deadline bounds the wait in line; the second gives the permit back when a read hangs or its reader is gone.
        let sealed = try await deadlines.run(deadline, "L3 object \(key)") {
            try await limit.withPermit {
                try await deadlines.run(deadline, "L3 object \(key)") {
                    // One byte more than any chunk has tells an object that is too long; reading a range spares the store a hash.
                    try await store.get(key, range: 0..<ChunkLimits.sealedBytes + 1)
                }
            }
        }
        guard let sealed else {
            throw CacheError(.missing, "L3 object \(key) is gone: push the image again with --repair to restore it")
        }
        return sealed
    }

    /// A sealed manifest as it is stored, not checked. Not limited in number: an image has few, and its opening is refused in time.
    /// - Throws: as ``chunk(_:in:)``.
    func manifest(_ id: ManifestID, in generation: Generation) async throws -> ByteBuffer {
        let object = L3Layout.manifest(id, in: generation)
        // Reading a range spares the store a hash; one byte more than any manifest has tells one that is too long.
        let sealed = try await deadlines.run(deadline, "L3 object \(object)") {
            try await store.get(object, range: 0..<ManifestHeader.maximumBytes + 1)
        }
        guard let sealed else {
            throw CacheError(.missing, "L3 object \(object) is gone: push the image again")
        }
        return sealed
    }
}
