internal import CacheBase
package import CacheChunks
package import NIOCore

/// The description of an image as a device that Linux mounts: a metadata region that was made for the image, then
/// stretches of its layers' data regions as they are.
///
/// The device is an EROFS image. What neither the metadata nor an extent covers reads as zeros. (docs/FORMAT.md,
/// "Index".)
package struct ImageIndex: Sendable, Equatable {
    /// A stretch of the device whose bytes are those of a layer's data region.
    package struct Extent: Sendable, Equatable {
        /// Where it begins on the device, in bytes.
        package let offset: UInt64
        /// How many bytes; at least 1.
        package let length: UInt64
        /// Where in the layer's data region its first byte is, in bytes (slots of 512 KiB, holes included).
        package let address: UInt64
        /// Which layer of the image, counted from 0 at the bottom.
        package let layer: Int

        package init(offset: UInt64, length: UInt64, address: UInt64, layer: Int) {
            self.offset = offset
            self.length = length
            self.address = address
            self.layer = layer
        }
    }

    /// The generation that holds the chunks of the metadata.
    package let generation: Generation
    /// The version of the writer that decided what the metadata says.
    package let writerVersion: UInt16
    /// The size of the device: a multiple of 4096.
    package let deviceBytes: UInt64
    /// The metadata region, from the beginning of the device on: chunks of 512 KiB, but for the last one.
    package let metadata: [ChunkRef]
    /// Ascending by offset, behind the metadata.
    package let extents: [Extent]

    /// The unit of the device's and the metadata's length.
    package static let blockBytes: UInt64 = 4096
    /// The most bytes of a device: 16 TiB, 2^32 blocks.
    package static let maximumDeviceBytes: UInt64 = 1 << 44
    /// The most extents: a bound for the memory that opening takes (64 MiB).
    package static let maximumExtents = 1 << 21
    private static let extentBytes = 26

    package init(
        generation: Generation, writerVersion: UInt16, deviceBytes: UInt64, metadata: [ChunkRef], extents: [Extent]
    ) {
        self.generation = generation
        self.writerVersion = writerVersion
        self.deviceBytes = deviceBytes
        self.metadata = metadata
        self.extents = extents
    }

    /// Bytes of the metadata region.
    package var metadataBytes: UInt64 { metadata.reduce(0) { $0 + UInt64($1.plainLength) } }

    /// Seals the index for a tenant. Each call gives other bytes and another name.
    ///
    /// - Parameter regionSlots: as ``open(_:expecting:keys:regionSlots:)`` takes it.
    /// - Throws: `.limitExceeded` beyond the limits above, `.invalidInput` for what could not be opened again.
    package func seal(with keys: TenantKeys, regionSlots: [Int]) throws -> (id: ManifestID, sealed: ByteBuffer) {
        guard extents.count <= Self.maximumExtents else {
            throw CacheError(
                .limitExceeded,
                "the image has \(extents.count) stretches of sparse files; at most \(Self.maximumExtents) are allowed")
        }
        if let fault = fault(regionSlots: regionSlots) {
            throw CacheError(.invalidInput, "the index of the image: \(fault)")
        }
        let table = try ChunkTable(streams: [metadata])
        var body = ByteBuffer()
        body.reserveCapacity(24 + table.encodedBytes + extents.count * Self.extentBytes)
        body.writeLittle(writerVersion)
        body.writeZeros(6)
        body.writeLittle(deviceBytes)
        body.writeLittle(UInt32(metadata.count))
        body.writeLittle(UInt32(extents.count))
        table.encode(into: &body)
        for extent in extents {
            body.writeLittle(extent.offset)
            body.writeLittle(extent.length)
            body.writeLittle(extent.address)
            body.writeLittle(UInt16(extent.layer))
        }
        let header = ManifestHeader(
            generation: generation, tenantKeyID: keys.id,
            contents: .metadata(table.distinct.map { ($0.id, $0.sealedLength) }))
        return try ManifestEnvelope.seal(header, body: body, keys: keys)
    }

    /// Opens a sealed index, and checks all that it says.
    ///
    /// - Parameters:
    ///   - id: the name under which `sealed` was found.
    ///   - regionSlots: for each layer of the image, the slots of 512 KiB of its data region.
    /// - Throws: `.key` if the tenant's key is another, `.unsupported` for another version, `.corrupt` for all that is
    ///   not right.
    package static func open(
        _ sealed: ByteBuffer, expecting id: ManifestID, keys: TenantKeys, regionSlots: [Int]
    ) throws -> ImageIndex {
        let (header, body) = try ManifestEnvelope.open(sealed, expecting: id, keys: keys)
        return try body.withUnsafeReadableBytes { bytes in
            var reader = RecordReader(bytes, what: "manifest \(id)")
            guard case .metadata(let chunks) = header.contents else {
                throw reader.malformed("it is not the index of an image")
            }
            let writerVersion: UInt16 = try reader.integer()
            try reader.zeros(6)
            let deviceBytes: UInt64 = try reader.integer()
            let chunkCount = Int(try reader.integer(UInt32.self))
            let extentCount = Int(try reader.integer(UInt32.self))
            let metadata = try ChunkTable.decodeStreams([chunkCount], chunks: chunks, &reader)[0]
            let extents = try extents(extentCount, &reader)
            try reader.end()
            let index = ImageIndex(
                generation: header.generation, writerVersion: writerVersion, deviceBytes: deviceBytes,
                metadata: metadata, extents: extents)
            if let fault = index.fault(regionSlots: regionSlots) { throw reader.malformed(fault) }
            return index
        }
    }

    private static func extents(_ count: Int, _ reader: inout RecordReader) throws -> [Extent] {
        guard count <= maximumExtents else { throw reader.malformed("it has \(count) extents") }
        // Taking all of them first bounds what is allocated by what is there.
        var list = RecordReader(try reader.take(count * extentBytes), what: reader.what)
        var extents: [Extent] = []
        extents.reserveCapacity(count)
        for _ in 0..<count {
            extents.append(
                Extent(
                    offset: try list.integer(), length: try list.integer(), address: try list.integer(),
                    layer: Int(try list.integer(UInt16.self))))
        }
        return extents
    }

    /// What is wrong with it; `nil` if nothing is.
    private func fault(regionSlots: [Int]) -> String? {
        guard deviceBytes % Self.blockBytes == 0, (1...Self.maximumDeviceBytes).contains(deviceBytes) else {
            return "no device has \(deviceBytes) bytes"
        }
        let full = UInt32(ChunkLimits.plainBytes)
        guard let last = metadata.last, metadata.dropLast().allSatisfy({ $0.plainLength == full }),
            UInt64(last.plainLength) % Self.blockBytes == 0, metadataBytes <= deviceBytes
        else { return "its metadata is not made of whole chunks and blocks of the device" }
        var end = metadataBytes
        for extent in extents {
            guard extent.length >= 1, extent.offset >= end, extent.offset <= deviceBytes,
                extent.length <= deviceBytes - extent.offset
            else { return "an extent at \(extent.offset) overlaps what is before it, or leaves the device" }
            guard regionSlots.indices.contains(extent.layer) else {
                return "an extent at \(extent.offset) names layer \(extent.layer) of \(regionSlots.count)"
            }
            let regionBytes = UInt64(regionSlots[extent.layer]) * UInt64(ChunkLimits.plainBytes)
            guard extent.address <= regionBytes, extent.length <= regionBytes - extent.address else {
                return "an extent at \(extent.offset) leaves the data region of layer \(extent.layer)"
            }
            end = extent.offset + extent.length
        }
        return nil
    }
}
