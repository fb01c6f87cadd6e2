/// Where the bytes of a sealed chunk go: into extents, values of one fixed size with pages of their own, as many as the
/// chunk fills; then a tail, inline in the chunk's record if it is short and in one more, padded extent if it is not.
/// (Without inline tails a raw chunk of 512 KiB would need an extent for its last 256 bytes.)
///
/// All extents take the same number of pages, because LMDB becomes slow when values of different sizes are evicted and
/// replaced.
package struct StoreLayout: Sendable, Equatable {
    package static let pageBytes = 4096
    /// Bytes of LMDB's header before a value that has pages of its own.
    package static let overflowHeaderBytes = 16
    /// The longest inline tail in bytes. Key, record and tail together stay below the 2,038 bytes above which LMDB
    /// gives a value pages of its own.
    package static let inlineTailBytes = 1024

    /// Pages of one extent, LMDB's header included.
    package let extentPages: Int

    package init(extentPages: Int) {
        self.extentPages = extentPages
    }

    /// Extents of 8 pages: 32 KiB less 16 bytes (docs/decisions/0002-extents-of-32-kib.md).
    package static let standard = StoreLayout(extentPages: 8)

    /// Bytes of a chunk in one extent.
    package var extentBytes: Int { extentPages * Self.pageBytes - Self.overflowHeaderBytes }

    /// Bytes of a sealed chunk of this length that lie inline in its record.
    package func tailBytes(_ sealedLength: Int) -> Int {
        let rest = sealedLength % extentBytes
        return rest <= Self.inlineTailBytes ? rest : 0
    }

    /// How many extents a sealed chunk of this length has; the last one is padded unless the length fills it.
    package func extentCount(_ sealedLength: Int) -> Int {
        sealedLength / extentBytes + (sealedLength % extentBytes > Self.inlineTailBytes ? 1 : 0)
    }

    /// Bytes that a sealed chunk of this length takes on disk, its share of index pages estimated from above (half-full
    /// pages).
    package func diskBytes(_ sealedLength: Int) -> UInt64 {
        UInt64(extentCount(sealedLength) * (extentPages * Self.pageBytes + 40) + 2 * tailBytes(sealedLength) + 256)
    }
}
