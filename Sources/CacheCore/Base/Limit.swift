/// A bound on what comes from outside, by the name under which `--limit NAME=VALUE` sets it.
///
/// What belongs to a format (the layers of an image's manifest, the bytes of a keyring) is no such limit: no option
/// raises it.
public enum Limit: String, CaseIterable, Sendable {
    case layerBytes = "layer-bytes"
    case layerEntries = "layer-entries"
    case pathBytes = "path-bytes"
    case metadataBytes = "metadata-bytes"
    case expansion = "expansion"
    case expansionFloor = "expansion-floor"
    case zstdWindow = "zstd-window"
    case documentBytes = "document-bytes"
    case documentDepth = "document-depth"
    case indexEntries = "index-entries"
    case archiveMembers = "archive-members"
    case zipDirectoryBytes = "zip-directory-bytes"
    case directoryDepth = "directory-depth"
    case directoryEntries = "directory-entries"

    public enum Unit: Sendable {
        case bytes
        case count
    }

    public var unit: Unit { row.unit }
    /// One line for people.
    public var meaning: String { row.meaning }
    /// The most that can be set, where a format ends.
    public var maximum: Int { row.maximum }

    private typealias Row = (unit: Unit, maximum: Int, meaning: String)

    private var row: Row {
        switch self {
        case .layerBytes: (.bytes, .max, "a layer, uncompressed")
        case .layerEntries: (.count, .max, "entries of a layer")
        case .pathBytes:
            (.bytes, 64 << 10, "a path, and the target of a link; what the format can hold")
        case .metadataBytes:
            (
                .bytes, 1 << 20,
                "extended headers of one tar entry: long names, attributes, maps of sparse files; what the format can "
                    + "hold"
            )
        case .expansion:
            (.count, .max, "bytes out of gzip, zstd or a ZIP for each byte in; blocks of zeros do not count")
        case .expansionFloor: (.bytes, .max, "bytes that may come out whatever went in; blocks of zeros do not count")
        case .zstdWindow: (.bytes, 1 << 31, "the window that a zstd stream asks for, a power of two: memory")
        case .documentBytes: (.bytes, .max, "a JSON document: index, manifest, configuration")
        case .documentDepth: (.count, 512, "arrays and objects inside one another in a JSON document")
        case .indexEntries: (.count, .max, "images of an index or a Docker archive")
        case .archiveMembers: (.count, .max, "members of the tar around an OCI or Docker archive")
        case .zipDirectoryBytes: (.bytes, .max, "the directory of a ZIP: five times as much memory")
        case .directoryDepth: (.count, .max, "directories inside one another")
        case .directoryEntries: (.count, .max, "entries of one directory that is pushed from: memory")
        }
    }

    /// What to do about it, as a message ends: `raise it with --limit directory-depth=N`.
    public var advice: String {
        let option = "--limit \(rawValue)=\(unit == .bytes ? "SIZE" : "N")"
        switch self {
        // These are by default what can be set at most.
        case .pathBytes, .metadataBytes:
            return "\(text(maximum)) is what the format can hold, unless \(option) made it less"
        default: return "raise it with \(option)"
        }
    }

    /// The error for what goes beyond this limit.
    /// - Parameter what: which object, and how far it may go.
    public func exceeded(_ what: String) -> CacheError {
        CacheError(.limitExceeded, "\(what): \(advice)")
    }

    /// `value` as one types it: `256GiB`, `4096`.
    public func text(_ value: Int) -> String {
        guard unit == .bytes, value > 0 else { return String(value) }
        let units = ["B", "KiB", "MiB", "GiB", "TiB"]
        let power = min(value.trailingZeroBitCount / 10, units.count - 1)
        return "\(value >> (10 * power))\(units[power])"
    }
}
