internal import CacheCore
public import NIOCore

/// The exact bytes of a layer, from front to back, as buffers of up to 512 KiB. Iterating again reads again.
///
/// Big files pass through without a copy; headers and small files are gathered into one buffer with one copy.
public struct LayerBytes: AsyncSequence, Sendable {
    public typealias Element = ByteBuffer

    let layer: CachedLayer
    let use: ChunkUse
    let depth: ReadAheadDepth

    /// - Parameter depth: by default what the layer's reader says.
    init(layer: CachedLayer, use: ChunkUse, depth: ReadAheadDepth? = nil) {
        self.layer = layer
        self.use = use
        self.depth = depth ?? ReadAheadDepth(layer.readAhead)
    }

    public func makeAsyncIterator() -> Iterator { Iterator(layer, use, depth) }

    public struct Iterator: AsyncIteratorProtocol {
        private let layer: CachedLayer
        private let use: ChunkUse
        private var data: ReadAhead
        private var skeleton: ReadAhead
        private var skeletonSlot = 0
        private var decoder = SkeletonReader()
        /// What is left of the data run that the skeleton asked for last.
        private var run: DataRun?
        /// Whether that run began in a pack, which will be asked for again; the tail of a big file is not.
        private var runIsPacked = false
        private var literal = ByteBuffer()
        private var fileSlot = 0
        private var delivered = 0
        private var ended = false

        init(_ layer: CachedLayer, _ use: ChunkUse, _ depth: ReadAheadDepth) {
            self.layer = layer
            self.use = use
            data = ReadAhead(layer: layer, refs: layer.manifest.data, depth: depth, use: use)
            skeleton = ReadAhead(layer: layer, refs: layer.manifest.skeleton, depth: ReadAheadDepth(2), use: use)
        }

        /// - Throws: ``CacheError`` of the tiers; `.corrupt` if the layer does not add up to the size that its manifest
        ///   says.
        public mutating func next() async throws -> ByteBuffer? {
            if ended { return nil }
            let block = layer.kind == .file ? try await nextOfFile() : try await nextOfTar()
            delivered += block?.readableBytes ?? 0
            guard delivered <= layer.byteCount, block != nil || delivered == layer.byteCount else {
                throw CacheError(
                    .corrupt, "layer \(layer.id) gives \(delivered) bytes, but its manifest says \(layer.byteCount)")
            }
            if block == nil { ended = true }
            return block
        }

        private mutating func nextOfFile() async throws -> ByteBuffer? {
            guard fileSlot < layer.manifest.data.count else { return nil }
            defer { fileSlot += 1 }
            return try await data.chunk(fileSlot)
        }

        private mutating func nextOfTar() async throws -> ByteBuffer? {
            // An empty tar has no skeleton at all.
            if layer.manifest.skeleton.isEmpty { return nil }
            var block = use == .recycled ? layer.reader.buffers.take() : ByteBuffer()
            while block.readableBytes < Self.gatheredBytes {
                if let run {
                    let (slot, part) = Self.part(of: run)
                    if part.count >= Self.passedBytes && block.readableBytes > 0 { return block }
                    let chunk: ByteBuffer
                    if let held = data.held(slot) {
                        chunk = held
                    } else {
                        chunk = try await data.chunk(slot, keep: runIsPacked)
                    }
                    if let piece = try take(part, of: run, from: chunk, into: &block) { return piece }
                    continue
                }
                let step = try decoder.next(literal: &literal)
                block.writeImmutableBuffer(literal)
                literal.clear()
                switch step {
                case .literal:
                    continue
                case .data(let next):
                    run = next
                    runIsPacked = next.length < ChunkLimits.plainBytes
                case .needMore:
                    guard skeletonSlot < layer.manifest.skeleton.count else {
                        throw CacheError(.corrupt, "the skeleton of layer \(layer.id) ends too early")
                    }
                    let bytes = try await skeleton.chunk(skeletonSlot)
                    bytes.withUnsafeReadableBytes { decoder.append($0) }
                    if use == .recycled { layer.recycle(bytes) }
                    skeletonSlot += 1
                case .end:
                    try decoder.checkEnded()
                    return block.readableBytes > 0 ? block : nil
                }
            }
            return block
        }

        /// Headers and small files are gathered until there are so many bytes; a piece on top of that still fits a
        /// buffer of a chunk's size.
        private static let gatheredBytes = 256 * 1024

        /// From this length on, a part of a run is passed on as it is once nothing is before it; what is shorter is
        /// copied.
        private static let passedBytes = 128 * 1024

        /// The slot of the next part of a run, and where in it that is.
        private static func part(of run: DataRun) -> (slot: Int, range: Range<Int>) {
            let address = run.address
            let length = Swift.min(Int(clamping: run.length), ChunkLimits.plainBytes - address.offset)
            return (Int(clamping: address.slot), address.offset..<address.offset + length)
        }

        /// Takes the next part of the run from its chunk. Returns what is to be delivered at once, if anything is.
        private mutating func take(
            _ part: Range<Int>, of whole: DataRun, from chunk: ByteBuffer, into block: inout ByteBuffer
        ) throws -> ByteBuffer? {
            guard part.upperBound <= chunk.readableBytes else {
                throw CacheError(
                    .corrupt, "layer \(layer.id) reads beyond the end of its slot \(whole.address.slot)")
            }
            run = whole.dropping(part.count)
            if part.count >= Self.passedBytes {
                return chunk.getSlice(at: chunk.readerIndex + part.lowerBound, length: part.count)
            }
            _ = chunk.withUnsafeReadableBytes { block.writeBytes(UnsafeRawBufferPointer(rebasing: $0[part])) }
            return nil
        }
    }
}
