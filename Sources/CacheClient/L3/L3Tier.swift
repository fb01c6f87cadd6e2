internal import CacheCore
internal import NIOCore

/// L3 as a reader uses it: chunks under a limit and a deadline, manifests under a deadline, and every call measured.
///
/// A chunk goes through, from the outside in: a deadline, which bounds the wait in line; the limit; and the deadline
/// again, which gives the place back when a read hangs or its reader is gone.
struct L3Tier: Sendable {
    /// The store without limit and deadlines, for callers with a deadline over several calls.
    let store: MeasuredObjectStore
    private let withinDeadline: DeadlineObjectStore
    private let limited: LimitedObjectStore
    private let chunks: DeadlineObjectStore

    init(_ settings: L3Settings, deadlines: Deadlines) {
        store = MeasuredObjectStore(settings.store, time: deadlines.time)
        withinDeadline = DeadlineObjectStore(store, deadline: settings.deadline, deadlines: deadlines)
        limited = LimitedObjectStore(
            withinDeadline, name: "reads of L3", concurrency: settings.concurrency, queue: settings.queue)
        chunks = DeadlineObjectStore(limited, deadline: settings.deadline, deadlines: deadlines)
    }

    /// Whether so many reads of chunks wait that the next one would be refused.
    var isOverloaded: Bool { limited.isFull }

    /// A sealed chunk, not checked.
    /// - Throws: ``CacheError``: `.missing` if L3 has no such object; `.timedOut`, `.overloaded`, `.io`.
    func chunk(_ id: ChunkID, in generation: Generation) async throws -> ByteBuffer {
        let key = L3Layout.chunk(id, in: generation)
        // One byte more than any chunk has tells an object that is too long; reading a range spares the store a hash.
        guard let sealed = try await chunks.get(key, range: 0..<ChunkLimits.sealedBytes + 1) else {
            throw CacheError(.missing, "L3 object \(key) is gone: push the image again with --repair to restore it")
        }
        return sealed
    }

    /// A sealed manifest, not checked.
    /// - Throws: ``CacheError``: `.missing` if L3 has no such object; `.timedOut`, `.io`.
    func manifest(_ id: ManifestID, in generation: Generation) async throws -> ByteBuffer {
        let key = L3Layout.manifest(id, in: generation)
        // Reading a range spares the store a hash; one byte more than any manifest has tells one that is too long.
        guard let sealed = try await withinDeadline.get(key, range: 0..<ManifestHeader.maximumBytes + 1) else {
            throw CacheError(.missing, "L3 object \(key) is gone: push the image again")
        }
        return sealed
    }
}
