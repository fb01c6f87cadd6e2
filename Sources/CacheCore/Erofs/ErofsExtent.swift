package import CacheLayers

/// A stretch of an EROFS image whose bytes are those of a layer's data region, as they already are.
package struct ErofsExtent: Sendable, Equatable {
    /// Where it begins in the image, in bytes.
    package let offset: UInt64
    /// How many bytes; at least 1.
    package let length: UInt64
    /// Which layer, counted from 0 at the bottom.
    package let layer: Int
    /// Where in that layer's data region its first byte is.
    package let address: RegionAddress

    package init(offset: UInt64, length: UInt64, layer: Int, address: RegionAddress) {
        self.offset = offset
        self.length = length
        self.layer = layer
        self.address = address
    }
}
