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
    /// When L3 said that the ref names this manifest, in milliseconds since 1970 by this host's clock.
    public let referenceSeenAt: UInt64
    /// Whether it said so when the image was opened. If not, L3 was away, and this is what the host had seen last.
    public let isReferenceChecked: Bool
    /// The tenant's.
    let keys: TenantKeys
    let counter: ReadCounter

    init(
        reference: ImageReference, seenAt: UInt64, isChecked: Bool, id: ManifestID, manifest: ImageManifest,
        layers: [CachedLayer], keys: TenantKeys, counter: ReadCounter
    ) {
        self.reference = reference
        referenceSeenAt = seenAt
        isReferenceChecked = isChecked
        self.id = id
        self.manifest = manifest
        self.layers = layers
        self.keys = keys
        self.counter = counter
    }

    /// The OCI image configuration, byte for byte as it was pushed; `nil` for what was no OCI or Docker image.
    public var configuration: ByteBuffer? {
        manifest.configuration.readableBytes > 0 ? manifest.configuration : nil
    }

    /// What the tiers delivered for this image since it was opened.
    public var counts: ReadCounts { counter.counts }
}
