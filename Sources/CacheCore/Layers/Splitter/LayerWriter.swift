internal import CacheBase

/// The three streams of a layer under construction, and the chunks of them that are complete.
struct LayerWriter {
    private var region: RegionPlacer
    private var skeleton = SkeletonWriter()
    private var entries = EntryTableWriter()
    private var queue = ChunkQueue()

    init(buffers: BufferPool) { region = RegionPlacer(buffers: buffers) }

    var entryCount: Int { entries.count }
    var slots: [Int] { [region.slots, skeleton.slots, entries.slots] }

    mutating func nextChunk() -> PlainChunk? { queue.popFirst() }

    mutating func literal(_ bytes: UnsafeRawBufferPointer) { skeleton.literal(bytes, queue: &queue) }
    mutating func zeros(_ count: Int) { skeleton.zeros(count, queue: &queue) }
    mutating func block(_ block: UnsafeRawBufferPointer, _ kind: TarBlockClass) {
        skeleton.block(block, kind, queue: &queue)
    }
    mutating func data(_ run: DataRun, padding: Int) { skeleton.data(run, padding: padding, queue: &queue) }
    mutating func entry(_ entry: LayerEntry) { entries.append(entry, queue: &queue) }

    /// Gives a content its place; `path` says which contents it is kept together with.
    mutating func place(_ length: UInt64, path: [UInt8]) -> DataRun {
        region.place(length, RegionPlacer.Group(path: path), queue: &queue)
    }
    mutating func fill(from input: SplitterInput) throws -> RegionPlacer.Progress {
        try region.fill(from: input, queue: &queue)
    }
    mutating func fillSlot(from input: SplitterInput) throws -> Bool {
        try region.fillSlot(from: input, queue: &queue)
    }

    mutating func finish() {
        region.finish(queue: &queue)
        skeleton.finish(queue: &queue)
        entries.finish(queue: &queue)
    }
}
