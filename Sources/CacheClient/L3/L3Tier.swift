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
    private let concurrency: Int
    /// What is said of when to come again, in seconds.
    private static let waits = 1...60

    init(_ settings: L3Settings, deadlines: Deadlines) {
        concurrency = settings.concurrency
        store = MeasuredObjectStore(settings.store, time: deadlines.time)
        withinDeadline = DeadlineObjectStore(store, deadline: settings.deadline, deadlines: deadlines)
        limited = LimitedObjectStore(
            withinDeadline, name: "reads of L3", concurrency: settings.concurrency, queue: settings.queue)
        chunks = DeadlineObjectStore(limited, deadline: settings.deadline, deadlines: deadlines)
    }

    /// Whether so many reads of chunks wait that the next one would be refused.
    var isOverloaded: Bool { limited.isFull }

    /// When those who wait now have been served, at the pace of the reads so far: whole seconds.
    var timeToRoom: Duration {
        let reads = store.statistics[.getRange]
        let ended = reads.calls - reads.underWay
        let each = ended > 0 ? reads.time / ended : .seconds(1)
        let seconds = each / .seconds(1) * Double(limited.waiting) / Double(concurrency)
        return .seconds(min(max(Int(seconds.rounded(.up)), Self.waits.lowerBound), Self.waits.upperBound))
    }

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
