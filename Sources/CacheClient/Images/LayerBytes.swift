internal import CacheCore
public import NIOCore

/// The exact bytes of a layer, from front to back, as buffers of up to 512 KiB. Iterating again reads again.
///
/// Big files pass through without a copy; headers and small files are gathered into one buffer with one copy.
public struct LayerBytes: AsyncSequence, Sendable {
    public typealias Element = ByteBuffer

    let layer: CachedLayer
    let use: ChunkUse

    public func makeAsyncIterator() -> Iterator { Iterator(layer, use) }

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

        init(_ layer: CachedLayer, _ use: ChunkUse) {
            self.layer = layer
            self.use = use
            data = ReadAhead(layer: layer, refs: layer.manifest.data, depth: layer.readAhead, use: use)
            skeleton = ReadAhead(layer: layer, refs: layer.manifest.skeleton, depth: 2, use: use)
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
                    if let whole = try await take(run, into: &block) { return whole }
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

        /// Takes the next part of a run: a large one as it is once nothing is before it, anything else by copying it to
        /// `block`. Returns what is to be delivered at once, if anything is.
        private mutating func take(_ whole: DataRun, into block: inout ByteBuffer) async throws -> ByteBuffer? {
            let address = whole.address
            let length = Swift.min(Int(clamping: whole.length), ChunkLimits.plainBytes - address.offset)
            let isLarge = length >= 64 * 1024
            if isLarge && block.readableBytes > 0 { return block }
            let slot = Int(clamping: address.slot)
            let chunk = try await data.chunk(slot, keep: runIsPacked)
            guard let piece = chunk.getSlice(at: chunk.readerIndex + address.offset, length: length) else {
                throw CacheError(.corrupt, "layer \(layer.id) reads beyond the end of its slot \(slot)")
            }
            run = whole.dropping(length)
            if isLarge { return piece }
            block.writeImmutableBuffer(piece)
            return nil
        }
    }
}
