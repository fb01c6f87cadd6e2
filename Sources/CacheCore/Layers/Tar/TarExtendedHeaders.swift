internal import CacheBase

/// What the extended headers before an entry say about it, and how that and its own header become an entry.
///
/// As with Go's reader, and GNU's where both agree: of several pax headers (`x`) the last one counts alone; a long name
/// (`L`, `K`) goes before pax records, the name of a sparse file before both. What a global header (`g`) says is
/// ignored, as container runtimes do, and it also takes back what came before it.
struct TarExtendedHeaders {
    private var pax = TarPaxRecords()
    private var longPath: [UInt8]?
    private var longTarget: [UInt8]?
    /// Bytes that were spent on the entry to come.
    private var bytes = 0
    private let limits: LayerLimits

    init(limits: LayerLimits) {
        self.limits = limits
    }

    static func isExtendedHeader(_ type: UInt8) -> Bool {
        switch type {
        // X: Solaris's name for x, which GNU tar and libarchive read, too.
        case UInt8(ascii: "x"), UInt8(ascii: "X"), UInt8(ascii: "g"), UInt8(ascii: "L"), UInt8(ascii: "K"): true
        default: false
        }
    }

    /// Takes all that an extended header of this type holds.
    mutating func apply(_ payload: UnsafeRawBufferPointer, _ type: UInt8) throws {
        switch type {
        case UInt8(ascii: "L"): longPath = payload.untilNUL.ifAny
        case UInt8(ascii: "K"): longTarget = payload.untilNUL.ifAny
        case UInt8(ascii: "g"):
            try TarPaxRecords.forEach(payload) { _, _ in }
            (pax, longPath, longTarget) = (TarPaxRecords(), nil, nil)
        default: pax = try TarPaxRecords(payload)
        }
    }

    /// Counts `count` bytes against what one entry may have.
    mutating func spend(_ count: Int) throws {
        bytes += count
        guard bytes <= limits.metadataBytes else {
            throw TarFault(
                beyond: .metadataBytes, "extended headers of more than \(limits.metadataBytes) bytes for one entry")
        }
    }

    /// Forgets everything: the entry is complete.
    mutating func reset() {
        guard bytes > 0 else { return }
        self = TarExtendedHeaders(limits: limits)
    }

    // MARK: Entries

    /// The path of the entry to come, as far as it is known.
    var path: [UInt8]? { pax.sparse?.path ?? longPath ?? pax.path }

    /// The entry without its content; `nil` if the header stands for something that is no file (a volume label, say).
    /// - Parameter path: of this entry.
    func entry(_ header: TarHeader, _ numbers: TarHeader.Numbers, _ path: [UInt8]) throws -> LayerEntry? {
        guard path.count <= limits.pathBytes else {
            throw TarFault(beyond: .pathBytes, "a path of more than \(limits.pathBytes) bytes")
        }
        guard let kind = Self.kind(header.type, longPath ?? pax.path ?? path) else { return nil }
        var entry = LayerEntry(path: path, kind: kind)
        entry.permissions = LayerEntry.Permissions(
            mode: UInt16(numbers.mode & 0o7777), uid: TarNumber.owner(pax.uid ?? numbers.uid),
            gid: TarNumber.owner(pax.gid ?? numbers.gid))
        entry.modificationTime = LayerEntry.ModificationTime(
            seconds: pax.mtime?.seconds ?? numbers.mtime, nanoseconds: pax.mtime?.nanoseconds ?? 0)
        switch kind {
        case .symbolicLink, .hardLink:
            entry.linkTarget = longTarget ?? pax.linkTarget ?? header.linkTarget
            guard entry.linkTarget.count <= limits.pathBytes else {
                throw TarFault(beyond: .pathBytes, "a link target of more than \(limits.pathBytes) bytes")
            }
        case .characterDevice, .blockDevice:
            entry.deviceMajor = try TarNumber.identifier(numbers.deviceMajor, "devmajor")
            entry.deviceMinor = try TarNumber.identifier(numbers.deviceMinor, "devminor")
        case .file, .directory, .fifo: break
        }
        entry.xattrs = pax.xattrs
        return entry
    }

    /// GNU tar's kinds, with unknown ones as files, as POSIX wants it. (Runtimes refuse what is neither a file of type
    /// 0 or NUL nor one of 1 to 6, but not every tar is an image's.)
    private static func kind(_ type: UInt8, _ path: [UInt8]) -> LayerEntry.Kind? {
        switch type {
        case UInt8(ascii: "1"): .hardLink
        case UInt8(ascii: "2"): .symbolicLink
        case UInt8(ascii: "3"): .characterDevice
        case UInt8(ascii: "4"): .blockDevice
        case UInt8(ascii: "5"), UInt8(ascii: "D"): .directory
        case UInt8(ascii: "6"): .fifo
        // GNU's volume label, and the rest of a file from another volume.
        case UInt8(ascii: "V"), UInt8(ascii: "M"): nil
        // Before ustar there was no type for directories. In a file of type 0 the slash means nothing.
        case 0 where path.last == UInt8(ascii: "/"): .directory
        default: .file
        }
    }

    /// Bytes of content after `header`. The types 1 to 6 have none whatever their size says: a hard link that repeats
    /// the size of its file is the usual case. (So has a directory of the time before ustar; that of GNU's incremental
    /// archives, type D, has its list of names.)
    func storedSize(_ header: TarHeader, _ numbers: TarHeader.Numbers, _ kind: LayerEntry.Kind?) throws -> UInt64 {
        switch kind {
        case .file, nil: break
        case .directory where header.type == UInt8(ascii: "D"): break
        default: return 0
        }
        let size = try TarNumber.size(pax.size ?? numbers.size)
        guard size <= limits.layerBytes else {
            throw TarFault(
                beyond: .layerBytes, "a size of \(size) bytes, where a layer may have \(limits.layerBytes) bytes")
        }
        return size
    }

    /// How a file is stored by pax records; `nil` if it is not sparse.
    var sparse: TarSparseRecords? {
        guard let sparse = pax.sparse, sparse.format != nil else { return nil }
        return sparse
    }
}

extension UnsafeRawBufferPointer {
    fileprivate var ifAny: [UInt8]? { isEmpty ? nil : [UInt8](self) }
}
