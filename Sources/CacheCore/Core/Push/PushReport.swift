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

    /// Chunks of all layers and their streams.
    public var chunks: Int { layers.reduce(0) { $0 + $1.chunks } }
    /// Those among them that are all zeros and stored nowhere.
    public var zeroChunks: Int { layers.reduce(0) { $0 + $1.zeroChunks } }
    /// Chunks that L3 did not have.
    public var newChunks: Int { layers.reduce(0) { $0 + $1.newChunks } }
    /// Size of all layers as uncompressed tar (or raw file).
    public var logicalBytes: Int { layers.reduce(0) { $0 + $1.logicalBytes } }
    /// Plaintext bytes of the new chunks.
    public var newBytes: Int { layers.reduce(0) { $0 + $1.newBytes } }
    /// Sealed bytes of the new chunks.
    public var uploadedBytes: Int { layers.reduce(0) { $0 + $1.uploadedBytes } }
}

/// What a push did with one layer.
public struct LayerPushReport: Sendable {
    /// What the source calls the layer. Untrusted text from the image, to be shown to people only.
    public var name: String
    /// SHA-256 of the uncompressed tar or raw file.
    public var diffID: SHA256Digest
    /// Size of the uncompressed tar or raw file.
    public var logicalBytes: Int
    /// Chunks of all its streams.
    public var chunks = 0
    /// Those among them that are all zeros and stored nowhere.
    public var zeroChunks = 0
    /// Chunks that L3 did not have.
    public var newChunks = 0
    /// Plaintext bytes of the new chunks.
    public var newBytes = 0
    /// Sealed bytes of the new chunks.
    public var uploadedBytes = 0
    /// Sealed bytes of the layer's distinct chunks.
    public var storedBytes = 0
    /// Sealed bytes among `storedBytes` that L3 held before this push reached the layer.
    public var sharedBytes: Int { storedBytes - uploadedBytes }
    /// Whether the layer was in L3 already, so that nothing was converted.
    public var wasKnown = false
}
