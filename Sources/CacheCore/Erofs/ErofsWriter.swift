package import CacheBase
package import CacheLayers

/// Stand-in.
package struct ErofsWriter {
    package static let version: UInt16 = 0
    package let metadataBytes: UInt64
    package let extents: [ErofsExtent]
    package let deviceBytes: UInt64
    private var left: UInt64
    private var seed: UInt64

    package init(tree: ImageTree, regionSlots: [Int]) throws(CacheError) {
        seed = UInt64(tree.count)
        metadataBytes = UInt64((tree.count * 64 + 4095) / 4096 * 4096 + 4096)
        left = metadataBytes
        var extents: [ErofsExtent] = []
        var end = (metadataBytes + 524287) / 524288 * 524288
        for (layer, slots) in regionSlots.enumerated() where slots > 0 {
            extents.append(
                ErofsExtent(
                    offset: end, length: UInt64(slots) << 19, layer: layer, address: RegionAddress(rawValue: 0)))
            end += UInt64(slots) << 19
        }
        self.extents = extents
        deviceBytes = end
    }

    package mutating func write(into buffer: UnsafeMutableRawBufferPointer) -> Int {
        let count = min(left, UInt64(buffer.count))
        for index in 0..<Int(count) { buffer[index] = UInt8(truncatingIfNeeded: (UInt64(index) ^ seed) % 251) }
        left -= count
        return Int(count)
    }
}
