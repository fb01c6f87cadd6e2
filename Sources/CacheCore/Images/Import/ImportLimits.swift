public import CacheBase
public import CacheLayers

/// How much of what comes from outside an import accepts before it gives up.
///
/// Every limit is there to bound time, memory or disk under hostile input; no honest image that we know of comes near
/// one. ``Limit`` has their names, and what each is for.
public struct ImportLimits: Sendable {
    /// What one layer may have, wherever it is read.
    public var layer = LayerLimits()
    /// Bytes that come out of a decompressor for each byte that goes in, blocks of zeros left out, once there are more
    /// than ``expansionFloor`` of them. They cost the time to hash and pack them, about a second for a gigabyte, and
    /// zeros only half of that and no room anywhere. Deflate reaches 1,032 at most; honest files that fall to less
    /// (logs of one line, erased flash) exist, so what deflate can do passes, and so does what takes seconds.
    public var expansionFactor = 1100
    /// Up to this many bytes that are not in blocks of zeros, no expansion is suspicious.
    public var expansionFloor = 4 << 30
    /// The largest window that a zstd stream may ask for, which is what a decoder must hold; `zstd --ultra` without
    /// `--long` stays within it.
    public var zstdWindow = 128 << 20
    /// Bytes of one JSON document: index, manifest, configuration.
    public var documentBytes = 8 << 20
    /// Arrays and objects inside one another in a JSON document. A recursive parser uses stack for each.
    public var documentDepth = 128 {
        didSet { documentDepth = min(documentDepth, Limit.documentDepth.maximum) }
    }
    /// Manifests of one index, and images of one docker archive.
    public var indexEntries = 4096
    /// Members of the outer tar of an OCI or docker archive.
    public var archiveMembers = 65_536
    /// Bytes of a ZIP's directory. libarchive holds it in memory, some 250 bytes an entry; an entry takes 46 bytes of
    /// the file at least.
    public var zipDirectoryBytes = 32 << 20
    /// Directories inside one another. As many as a path of 4,096 bytes, the most that the kernel takes at once, can
    /// have.
    public var directoryDepth = 2048
    /// Entries of one directory in a tree, whose names are sorted in memory.
    public var directoryEntries = 4 << 20

    public init() {}

    /// Those of one JSON document.
    package var json: JSONLimits { JSONLimits(bytes: documentBytes, depth: documentDepth) }

    /// Uncompressed bytes of one layer.
    public var layerBytes: Int {
        get { Int(clamping: layer.layerBytes) }
        set { layer.layerBytes = UInt64(clamping: newValue) }
    }

    /// Bytes of one path name, and of the target of a link.
    public var pathBytes: Int {
        get { layer.pathBytes }
        set { layer.pathBytes = newValue }
    }

    /// The value of a limit by its name.
    public subscript(limit: Limit) -> Int {
        get { self[keyPath: Self.field(limit)] }
        set { self[keyPath: Self.field(limit)] = newValue }
    }

    private static func field(_ limit: Limit) -> WritableKeyPath<ImportLimits, Int> {
        switch limit {
        case .layerBytes: \.layerBytes
        case .layerEntries: \.layer.entries
        case .pathBytes: \.layer.pathBytes
        case .metadataBytes: \.layer.metadataBytes
        case .expansion: \.expansionFactor
        case .expansionFloor: \.expansionFloor
        case .zstdWindow: \.zstdWindow
        case .documentBytes: \.documentBytes
        case .documentDepth: \.documentDepth
        case .indexEntries: \.indexEntries
        case .archiveMembers: \.archiveMembers
        case .zipDirectoryBytes: \.zipDirectoryBytes
        case .directoryDepth: \.directoryDepth
        case .directoryEntries: \.directoryEntries
        }
    }

    /// Those of what comes out of a decompressor.
    package var expansionLimit: ExpansionLimit {
        ExpansionLimit(bytes: layerBytes, factor: expansionFactor, floor: expansionFloor, zstdWindow: zstdWindow)
    }
}
