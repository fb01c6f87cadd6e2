public import CacheCore
public import NIOCore

/// One image, open for reading through all tiers. It holds no connection and no file: let go of it at any time.
public struct CachedImage: Sendable {
    /// The ref it was opened by.
    public let reference: ImageReference
    /// The manifest that the ref named when the image was opened; a push afterwards changes nothing for this value.
    public let id: ManifestID
    /// The image's configuration, annotations and layers, as they were pushed.
    public let manifest: ImageManifest
    /// From the bottom up, as the manifest has them.
    public let layers: [CachedLayer]
    /// When L3 said that the ref names this manifest, in milliseconds since 1970 by this host's clock; 0 for an image
    /// that was opened by its pin.
    public let referenceSeenAt: UInt64
    /// Whether it said so when the image was opened. If not, L3 was away, and this is what the host had seen last; or
    /// the image was opened by its pin.
    public let isReferenceChecked: Bool
    let origin: ImageOrigin

    init(
        reference: ImageReference, seenAt: UInt64, isChecked: Bool, manifest: ImageManifest, layers: [CachedLayer],
        origin: ImageOrigin
    ) {
        self.reference = reference
        referenceSeenAt = seenAt
        isReferenceChecked = isChecked
        id = origin.record.manifest
        self.manifest = manifest
        self.layers = layers
        self.origin = origin
    }

    /// The OCI image configuration, byte for byte as it was pushed; `nil` for what was no OCI or Docker image.
    public var configuration: ByteBuffer? {
        manifest.configuration.readableBytes > 0 ? manifest.configuration : nil
    }

    /// What the tiers delivered for this image since it was opened.
    public var counts: ReadCounts { origin.counter.counts }

    /// What opens this very image again, whatever its ref names by then.
    public var pin: ImagePin { ImagePin(manifest: id, generation: origin.record.generation) }
}

/// Where an open image came from, and what its further manifests are read with.
struct ImageOrigin: Sendable {
    let reader: TieredReader
    let keys: TenantKeys
    let record: RefRecord
    /// How the manifests of the image were cut.
    let pieces: ManifestPieces
    let counter: ReadCounter
}
