/// What the extended headers of a tar say about the entry after them (`x`, `L`, `K`) and about all entries after them (`g`).
struct TarExtendedHeaders {
    private var pax = TarPaxRecords()
    private var longPath: [UInt8]?
    private var longTarget: [UInt8]?
    /// Owners and times only: nothing else makes sense for more than one entry, and nobody else takes more.
    private var global = TarPaxRecords()
    /// Bytes that were spent on the entry to come.
    private var bytes = 0
    private let limits: LayerLimits

    init(limits: LayerLimits) {
        self.limits = limits
    }

    /// The path of the entry to come, as far as it is known.
    var path: [UInt8]? { pax.sparse.path ?? pax.path ?? longPath }

    /// Reads what an extended header of this type holds. The header itself has been taken.
    mutating func read(_ type: UInt8, _ size: UInt64, _ input: SplitterInput, _ output: inout LayerWriter) throws {
        let payload = try payload(size, input, &output)
        switch type {
        case UInt8(ascii: "L"): longPath = payload.untilNUL
        case UInt8(ascii: "K"): longTarget = payload.untilNUL
        case UInt8(ascii: "g"):
            try payload.withUnsafeBytes { try global.parse($0) }
            global = TarPaxRecords(uid: global.uid, gid: global.gid, mtime: global.mtime)
        default: try payload.withUnsafeBytes { try pax.parse($0) }
        }
    }

    static func isExtendedHeader(_ type: UInt8) -> Bool {
        switch type {
        case UInt8(ascii: "x"), UInt8(ascii: "X"), UInt8(ascii: "g"), UInt8(ascii: "L"), UInt8(ascii: "K"): true
        default: false
        }
    }

    private mutating func payload(_ size: UInt64, _ input: SplitterInput, _ output: inout LayerWriter) throws -> [UInt8]
    {
        var payload: [UInt8] = []
        while UInt64(payload.count) < size {
            let block = try metadataBlock(input, &output)
            payload.append(contentsOf: block.prefix(Int(min(size - UInt64(payload.count), UInt64(block.count)))))
        }
        return payload
    }

    /// Takes a block of metadata.
    /// - Returns: the block, valid until `input` is used again.
    mutating func metadataBlock(_ input: SplitterInput, _ output: inout LayerWriter) throws -> UnsafeRawBufferPointer {
        try spend(TarBlock.byteCount)
        let block = try input.peek(TarBlock.byteCount)
        guard block.count == TarBlock.byteCount else { throw TarFault("the archive ends inside an extended header") }
        output.block(block, .metadata)
        input.skip(block.count)
        return block
    }

    /// Counts `count` bytes against what one entry may have.
    mutating func spend(_ count: Int) throws {
        bytes += count
        guard bytes <= limits.metadataBytes else {
            throw TarFault("extended headers of more than \(limits.metadataBytes) bytes for one entry")
        }
    }

    /// Forgets all but global headers: the entry is complete.
    mutating func reset() {
        guard bytes > 0 else { return }
        pax = TarPaxRecords()
        longPath = nil
        longTarget = nil
        bytes = 0
    }

    // MARK: Entries

    /// Bytes of content after `header`, as far as headers say so.
    func storedSize(_ header: TarHeader) throws -> UInt64 {
        let size = try pax.size ?? header.size()
        guard size <= limits.layerBytes else {
            throw CacheError(
                .limitExceeded, "an entry of \(size) bytes is beyond the limit for a layer, \(limits.layerBytes) bytes")
        }
        return size
    }

    /// How GNU's pax formats store a sparse file; `nil` if this is none.
    var sparse: TarPaxRecords.Sparse? { pax.sparse.isPresent ? pax.sparse : nil }

    /// The entry without its content; `nil` if the header stands for something that is no file (a volume label, say).
    func entry(_ header: TarHeader) throws -> LayerEntry? {
        let path = path ?? header.path
        guard path.count <= limits.pathBytes else { throw TarFault("a path of more than \(limits.pathBytes) bytes") }
        guard let kind = Self.kind(header.type, path) else { return nil }
        var entry = LayerEntry(path: path, kind: kind)
        entry.mode = try header.mode()
        entry.uid = try pax.uid ?? global.uid ?? header.uid()
        entry.gid = try pax.gid ?? global.gid ?? header.gid()
        if let mtime = pax.mtime ?? global.mtime {
            (entry.mtimeSeconds, entry.mtimeNanoseconds) = (mtime.seconds, mtime.nanoseconds)
        } else {
            entry.mtimeSeconds = try header.mtime()
        }
        switch kind {
        case .symbolicLink, .hardLink:
            entry.linkTarget = pax.linkTarget ?? longTarget ?? header.linkTarget
            guard entry.linkTarget.count <= limits.pathBytes else {
                throw TarFault("a link target of more than \(limits.pathBytes) bytes")
            }
        case .characterDevice, .blockDevice:
            entry.deviceMajor = try header.deviceMajor()
            entry.deviceMinor = try header.deviceMinor()
        case .file, .directory, .fifo: break
        }
        entry.xattrs = pax.xattrs
        return entry
    }

    private static func kind(_ type: UInt8, _ path: [UInt8]) -> LayerEntry.Kind? {
        switch type {
        case UInt8(ascii: "1"): .hardLink
        case UInt8(ascii: "2"): .symbolicLink
        case UInt8(ascii: "3"): .characterDevice
        case UInt8(ascii: "4"): .blockDevice
        case UInt8(ascii: "5"), UInt8(ascii: "D"): .directory
        case UInt8(ascii: "6"): .fifo
        // GNU's volume label, rest of a file from another volume, and old list of long names.
        case UInt8(ascii: "V"), UInt8(ascii: "M"), UInt8(ascii: "N"): nil
        // Before ustar there was no type for directories.
        case 0 where path.last == UInt8(ascii: "/"): .directory
        // POSIX: what is not known is to be taken as a file.
        default: .file
        }
    }
}

extension [UInt8] {
    fileprivate var untilNUL: [UInt8] { Array(prefix { $0 != 0 }) }
}
