internal import CacheCore
internal import NIOCore
internal import NIOPosix

/// An index as it was just made on this host, with as much of its metadata as may be kept in memory.
struct MadeIndex: Sendable {
    let index: ImageIndex
    /// The sealed chunks of the metadata, from the first one on; a zero chunk is empty.
    let sealed: [ByteBuffer]

    /// The most sealed bytes of metadata in memory: those of more than a million files.
    private static let maximumBytes = 64 << 20

    /// Whether all of the metadata is in memory.
    var isInMemory: Bool { sealed.count == index.metadata.count }

    /// Merges the image's entry tables, lays out the device and brings the metadata's chunks to L1. About 2 s for
    /// 100,000 files.
    ///
    /// - Throws: `.limitExceeded` for an image that no device is large enough for; else as the tiers do.
    static func make(_ image: CachedImage) async throws -> MadeIndex {
        let (reader, keys) = (image.origin.reader, image.origin.keys)
        let tree = try await image.tree(on: reader.pool)
        let regionSlots = image.regionSlots
        let (outline, sealer) = try await reader.pool.runIfActive { [tree, buffers = reader.buffers] in
            let writer = try ErofsWriter.describable(tree: tree, regionSlots: regionSlots)
            let outline = ImageIndex(
                describing: writer, generation: image.origin.record.generation, metadata: [])
            return (outline, MetadataSealer(writer, keys: keys, buffers: buffers))
        }
        var metadata: [ChunkRef] = []
        var kept: [ByteBuffer] = []
        var room = maximumBytes
        while let (ref, sealed) = try await reader.pool.runIfActive({ sealer.next() }) {
            try Task.checkCancellation()
            if !ref.isZero { try await reader.l1?.put(ref.id, sealed, TierGap()) }
            metadata.append(ref)
            room -= sealed.readableBytes
            if room >= 0 { kept.append(sealed) }
        }
        return MadeIndex(index: outline.with(metadata: metadata), sealed: kept)
    }
}

extension ImageIndex {
    /// Whether the devices have the same shape. The chunks may differ: another zstd makes others of the same bytes.
    func isSameDevice(as other: ImageIndex) -> Bool {
        writerVersion == other.writerVersion && deviceBytes == other.deviceBytes && extents == other.extents
            && metadata.map(\.plainLength) == other.metadata.map(\.plainLength)
    }
}
