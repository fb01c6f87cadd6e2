/// Where the bytes of a sealed chunk go: as many full extents as it has, then a tail that lives inline in the chunk's record if
/// it is short and in one more, padded extent if it is not. (A raw chunk of 512 KiB would otherwise need an extent for 256 bytes.)
package struct StoreLayout: Sendable, Equatable {
    package static let pageBytes = 4096
    /// LMDB's header before a value that has pages of its own.
    package static let overflowHeaderBytes = 16
    /// Record and tail together stay below the 2,038 bytes at which LMDB gives a node pages of its own.
    package static let inlineTailBytes = 1024

    /// Pages of one extent, LMDB's header included.
    package let extentPages: Int

    package init(extentPages: Int) {
        self.extentPages = extentPages
    }

    package static let standard = StoreLayout(extentPages: 8)

    package var extentBytes: Int { extentPages * Self.pageBytes - Self.overflowHeaderBytes }

    package func tailBytes(_ sealedLength: Int) -> Int {
        let rest = sealedLength % extentBytes
        return rest <= Self.inlineTailBytes ? rest : 0
    }

    package func extentCount(_ sealedLength: Int) -> Int {
        sealedLength / extentBytes + (sealedLength % extentBytes > Self.inlineTailBytes ? 1 : 0)
    }

    /// What a chunk takes on disk, its share of index pages estimated from above (half-full pages).
    package func diskBytes(_ sealedLength: Int) -> UInt64 {
        UInt64(extentCount(sealedLength) * (extentPages * Self.pageBytes + 40) + 2 * tailBytes(sealedLength) + 256)
    }
}
