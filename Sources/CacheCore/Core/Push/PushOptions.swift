public import CacheChunks
public import CacheImages

/// How an image is converted.
public struct PushOptions: Sendable {
    /// Whether and how hard chunks are compressed.
    public var compression: ChunkCompression = .standard
    /// Reads every chunk that L3 has already and replaces the damaged ones; converts layers that are known, too.
    public var repair = false
    /// Bounds on what is read from outside; here those of a layer count, the others where the source is opened.
    public var limits = ImportLimits()
    /// Chunks that are being sealed or stored at once, over all layers: each holds up to 1 MiB.
    public var chunksInFlight = 48
    /// Layers that are read at once.
    public var layersInFlight = 2

    /// How long bringing one chunk to L3 may take before the push fails.
    public var storeDeadline: Duration = .seconds(120)

    public init() {}
}
