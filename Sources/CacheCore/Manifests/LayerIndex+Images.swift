internal import CacheCrypto
internal import CacheObjectStore
internal import NIOCore

/// Finds the indexes of images that a tenant has pushed to a generation before, so that no metadata is made twice.
extension LayerIndex {
    /// All that decides what the metadata of an image becomes: equal ones give the same chunks.
    package struct Image: Hashable, Sendable {
        /// The version of the writer.
        package let writerVersion: UInt16
        package let codecPolicy: UInt8
        package let hasWhiteouts: Bool
        /// Bottom first.
        package let layers: [Layer]

        package init(writerVersion: UInt16, codecPolicy: UInt8, hasWhiteouts: Bool, layers: [Layer]) {
            self.writerVersion = writerVersion
            self.codecPolicy = codecPolicy
            self.hasWhiteouts = hasWhiteouts
            self.layers = layers
        }
    }

    /// The index of an image that was pushed before; `nil` if it was not..
    package func find(_ image: Image) async throws -> ManifestID? { try await find(object(of: image)) }

    /// Remembers the index of an image, once that and all its chunks are durable..
    package func record(
        _ image: Image, as index: ManifestID, replacing stale: ManifestID? = nil
    ) async throws -> ManifestID {
        try await record(object(of: image), as: index, replacing: stale)
    }

    /// HMAC-SHA-256(index key, "image" || writer version || codec policy || whiteouts || for each layer: packing
    /// version || codec policy || kind || diffID).
    private func object(of image: Image) -> ObjectKey {
        var message = ByteBuffer(string: "image")
        message.writeLittle(image.writerVersion)
        message.writeLittle(image.codecPolicy)
        message.writeLittle(UInt8(image.hasWhiteouts ? 1 : 0))
        for layer in image.layers { layer.encode(into: &message) }
        return object(named: message)
    }
}
