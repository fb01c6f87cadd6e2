/// How much of what comes from outside an import accepts before it gives up.
///
/// Every limit is there to bound time, memory or disk under hostile input; no honest image that we know of comes near one.
public struct ImportLimits: Sendable {
    /// Uncompressed bytes of one layer.
    public var layerBytes: Int = 256 << 30
    /// Uncompressed bytes for each compressed one, once a layer is beyond ``expansionFloor``. Deflate reaches 1,032 at most;
    /// program files 2 to 5.
    public var expansionFactor: Int = 200
    /// Up to this many uncompressed bytes, no expansion is suspicious.
    public var expansionFloor: Int = 256 << 20
    /// Bytes of one JSON document: index, manifest, configuration.
    public var documentBytes: Int = 8 << 20
    /// Arrays and objects inside one another in a JSON document.
    public var documentDepth: Int = 128
    /// Layers of one image. Overlay filesystems stop at 500, registries at a few hundred.
    public var layers: Int = 1024
    /// Manifests of one index, and images of one docker archive.
    public var indexEntries: Int = 4096
    /// Members of the outer tar of an OCI or docker archive.
    public var archiveMembers: Int = 65_536
    /// Bytes of one path name in an archive or a tree.
    public var pathBytes: Int = 4096
    /// Directories inside one another in a tree.
    public var directoryDepth: Int = 256
    /// Entries of one directory in a tree, whose names are sorted in memory.
    public var directoryEntries: Int = 4 << 20

    public init() {}

    /// How many uncompressed bytes may come out of `compressedSize` bytes (`nil`: unknown, as of a pipe).
    package func uncompressedBytes(from compressedSize: Int?) -> Int {
        guard let compressedSize else { return layerBytes }
        let (product, overflow) = compressedSize.multipliedReportingOverflow(by: expansionFactor)
        return min(layerBytes, overflow ? layerBytes : max(expansionFloor, product))
    }
}
