public import CacheCrypto
public import CacheManifests

/// What a push did.
public struct PushReport: Sendable {
    /// The ref that was written.
    public let reference: ImageReference
    /// The manifest that the ref names now.
    public let manifest: ManifestID
    /// From the bottom up; a layer that occurs twice is here twice.
    public let layers: [LayerPushReport]
    /// Remarks for the person who pushed, a line each.
    public var notes: [String] = []

    /// The image as a device; `nil` if it has none: a raw file, or an image of which ``notes`` says why.
    public var index: IndexPushReport?

    /// Chunks of all layers and their streams, and of the index.
    public var chunks: Int { sum(\.chunks) }
    /// Those among them that are all zeros and stored nowhere.
    public var zeroChunks: Int { sum(\.zeroChunks) }
    /// Chunks that L3 did not have.
    public var newChunks: Int { sum(\.newChunks) }
    /// Size of all layers as uncompressed tar (or raw file).
    public var logicalBytes: Int { layers.reduce(0) { $0 + $1.logicalBytes } }
    /// Plaintext bytes of the new chunks.
    public var newBytes: Int { sum(\.newBytes) }
    /// Sealed bytes of the new chunks.
    public var uploadedBytes: Int { sum(\.uploadedBytes) }

    private func sum(_ count: KeyPath<PushCounts, Int>) -> Int {
        layers.reduce(index?.counts[keyPath: count] ?? 0) { $0 + $1.counts[keyPath: count] }
    }
}

/// What a push did with the chunks of a layer or an index.
public struct PushCounts: Sendable, Hashable {
    /// All of them.
    public var chunks = 0
    /// Those among them that are all zeros and stored nowhere.
    public var zeroChunks = 0
    /// Chunks that L3 did not have.
    public var newChunks = 0
    /// Plaintext bytes of the new chunks.
    public var newBytes = 0
    /// Sealed bytes of the new chunks.
    public var uploadedBytes = 0
    /// Sealed bytes of the distinct chunks.
    public var storedBytes = 0
}

/// What a push did with one layer.
public struct LayerPushReport: Sendable {
    /// What the source calls the layer. Untrusted text from the image, to be shown to people only.
    public var name: String
    /// SHA-256 of the uncompressed tar or raw file.
    public var diffID: SHA256Digest
    /// Size of the uncompressed tar or raw file.
    public var logicalBytes: Int
    /// What became of its chunks.
    public var counts = PushCounts()
    /// Whether the layer was in L3 already, so that nothing was converted.
    public var wasKnown = false

    /// Chunks of all its streams.
    public var chunks: Int { counts.chunks }
    /// Those among them that are all zeros and stored nowhere.
    public var zeroChunks: Int { counts.zeroChunks }
    /// Chunks that L3 did not have.
    public var newChunks: Int { counts.newChunks }
    /// Plaintext bytes of the new chunks.
    public var newBytes: Int { counts.newBytes }
    /// Sealed bytes of the new chunks.
    public var uploadedBytes: Int { counts.uploadedBytes }
    /// Sealed bytes of the layer's distinct chunks.
    public var storedBytes: Int { counts.storedBytes }
    /// Sealed bytes among ``storedBytes`` that L3 held before this push reached the layer.
    public var sharedBytes: Int { storedBytes - uploadedBytes }
}

/// What a push did with the description of an image as a device.
public struct IndexPushReport: Sendable {
    /// The index that the image's manifest names.
    public let manifest: ManifestID
    /// The size of the device.
    public let deviceBytes: UInt64
    /// Chunks of the metadata that was made for the image.
    public var counts = PushCounts()
    /// Whether L3 had it already, so that nothing was made.
    public var wasKnown = false
}
