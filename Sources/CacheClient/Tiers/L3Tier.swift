internal import CacheCore
internal import NIOCore

/// L3 as the reader sees it: every read has a deadline, those of chunks are bounded in number, with a bounded queue
/// before them, and all calls are measured.
struct L3Tier: Sendable {
    /// The store without deadlines and limit, for callers with a deadline over several calls.
    let store: MeasuredObjectStore
    private let timed: DeadlineObjectStore
    private let limited: LimitedObjectStore
    private let chunks: DeadlineObjectStore

    init(_ settings: L3Settings, deadlines: Deadlines) {
        store = MeasuredObjectStore(settings.store, time: deadlines.time)
        // The inner deadline gives the place back when a read hangs or its reader is gone; the outer one bounds the
        // wait in line.
        timed = DeadlineObjectStore(store, deadline: settings.deadline, deadlines: deadlines)
        limited = LimitedObjectStore(
            timed, name: "reads of L3", concurrency: settings.concurrency, queue: settings.queue)
        chunks = DeadlineObjectStore(limited, deadline: settings.deadline, deadlines: deadlines)
    }

    /// Whether it is so busy that a new image should not be opened now.
    var isOverloaded: Bool { limited.isFull }

    /// A sealed chunk as it is stored, not checked.
    /// - Throws: `.missing` that names the object; `.timedOut`, `.overloaded`; what the store throws.
    func chunk(_ id: ChunkID, in generation: Generation) async throws -> ByteBuffer {
        let key = L3Layout.chunk(id, in: generation)
        // One byte more than any chunk has tells an object that is too long; reading a range spares the store a hash.
        guard let sealed = try await chunks.get(key, range: 0..<ChunkLimits.sealedBytes + 1) else {
            throw CacheError(.missing, "L3 object \(key) is gone: push the image again with --repair to restore it")
        }
        return sealed
    }

    /// A sealed manifest as it is stored, not checked. Not limited in number: an image has few, and its opening is
    /// refused in time.
    /// - Throws: as ``chunk(_:in:)``.
    func manifest(_ id: ManifestID, in generation: Generation) async throws -> ByteBuffer {
        let object = L3Layout.manifest(id, in: generation)
        // Reading a range spares the store a hash; one byte more than any manifest has tells one that is too long.
        guard let sealed = try await timed.get(object, range: 0..<ManifestHeader.maximumBytes + 1) else {
            throw CacheError(.missing, "L3 object \(object) is gone: push the image again")
        }
        return sealed
    }
}
