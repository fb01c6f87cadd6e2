package import CacheBase
package import CacheChunks
package import CacheErofs
package import CacheLayers
package import CacheManifests

extension ImageIndex {
    /// The index of the device that a writer lays out.
    ///
    /// - Parameter metadata: the chunks of what the writer writes.
    package init(describing writer: borrowing ErofsWriter, generation: Generation, metadata: [ChunkRef]) {
        self.init(
            generation: generation, writerVersion: ErofsWriter.version, deviceBytes: writer.deviceBytes,
            metadata: metadata,
            extents: writer.extents.map { extent in
                Extent(
                    offset: extent.offset, length: extent.length, address: extent.address.rawValue,
                    layer: extent.layer)
            })
    }

    /// The same with the chunks of its metadata, once these are known.
    package func with(metadata: [ChunkRef]) -> ImageIndex {
        ImageIndex(
            generation: generation, writerVersion: writerVersion, deviceBytes: deviceBytes, metadata: metadata,
            extents: extents)
    }
}

extension ErofsWriter {
    /// Lays out a device that an index can describe.
    /// - Throws: `.limitExceeded` for an image that no device, or no index, is large enough for.
    package static func describable(tree: consuming ImageTree, regionSlots: [Int]) throws(CacheError) -> ErofsWriter {
        let writer = try ErofsWriter(tree: tree, regionSlots: regionSlots)
        guard writer.extents.count <= ImageIndex.maximumExtents else {
            throw CacheError(
                .limitExceeded,
                "its sparse files have \(writer.extents.count) stretches; a device takes \(ImageIndex.maximumExtents)")
        }
        guard writer.deviceBytes <= ImageIndex.maximumDeviceBytes else {
            throw CacheError(
                .limitExceeded,
                "it would be a device of \(writer.deviceBytes) bytes; at most \(ImageIndex.maximumDeviceBytes) are"
                    + " possible")
        }
        return writer
    }
}
