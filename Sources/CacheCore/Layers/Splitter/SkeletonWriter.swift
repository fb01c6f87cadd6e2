internal import CacheChunks

/// Writes all of a tar that is not a file's content.
struct SkeletonWriter {
    private var stream = StreamWriter(.skeleton, magic: SkeletonOperation.magic)
    private var deltas = TarBlockDelta()
    private var addresses = RunAddressCoder()
    private var record: [UInt8] = []
    private var edits: [UInt8] = []
    /// Bytes of the tar described so far.
    private var described: UInt64 = 0

    var slots: Int { stream.slots }

    init() {
        record.reserveCapacity(64)
        edits.reserveCapacity(SkeletonOperation.mostBytes)
    }

    mutating func literal(_ bytes: UnsafeRawBufferPointer, queue: inout ChunkQueue) {
        begin(.literal, UInt64(bytes.count), describing: UInt64(bytes.count))
        stream.write(record, to: &queue)
        stream.write(bytes, to: &queue)
    }

    mutating func zeros(_ count: Int, queue: inout ChunkQueue) {
        begin(.zeros, UInt64(count), describing: UInt64(count))
        stream.write(record, to: &queue)
    }

    /// A block of 512 bytes.
    mutating func block(_ block: UnsafeRawBufferPointer, _ kind: TarBlockClass, queue: inout ChunkQueue) {
        edits.removeAll(keepingCapacity: true)
        let computed = deltas.encode(block, kind, to: &edits)
        let flags = (computed ? 4 : 0) | UInt64(kind.rawValue)
        begin(.block, UInt64(edits.count) << 3 | flags, describing: UInt64(block.count))
        stream.write(record, to: &queue)
        stream.write(edits, to: &queue)
    }

    /// - Parameter padding: zero bytes up to the next multiple of 512 that come after the content, or 0 if they do not.
    mutating func data(_ run: DataRun, padding: Int, queue: inout ChunkQueue) {
        edits.removeAll(keepingCapacity: true)
        let isExplicit = !addresses.isExpected(run, appendingElseTo: &edits)
        let flags = (padding > 0 ? 2 : 0) | (isExplicit ? 1 : 0) as UInt64
        begin(.data, run.length << 2 | flags, describing: run.length + UInt64(padding))
        stream.write(record, to: &queue)
        stream.write(edits, to: &queue)
    }

    /// Ends the stream; the skeleton of an empty tar is empty.
    mutating func finish(queue: inout ChunkQueue) {
        guard stream.isStarted else { return }
        begin(.end, described, describing: 0)
        stream.write(record, to: &queue)
        stream.flush(to: &queue)
    }

    private mutating func begin(_ operation: SkeletonOperation, _ argument: UInt64, describing count: UInt64) {
        described += count
        record.removeAll(keepingCapacity: true)
        record.appendVarint(argument << 3 | operation.rawValue)
    }
}
