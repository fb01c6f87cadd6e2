internal import CacheChunks

/// Writes the entry table of a layer: about 30 bytes an entry.
struct EntryTableWriter {
    private var stream = StreamWriter(.entries, magic: EntryRecord.magic)
    private var addresses = RunAddressCoder()
    private var permissions = EntryRecord.LastPermissions()
    private var path: [UInt8] = []
    private var mtime: Int64 = 0
    private var record: [UInt8] = []
    private var length: [UInt8] = []
    private(set) var count = 0

    var slots: Int { stream.slots }

    mutating func append(_ entry: LayerEntry, queue: inout ChunkQueue) {
        record.removeAll(keepingCapacity: true)
        record.append(entry.kind.rawValue)
        var flags: UInt8 = 0

        let shared = Self.sharedPrefix(path, entry.path)
        record.appendVarint(UInt64(shared))
        record.appendVarint(UInt64(entry.path.count - shared))
        record.append(contentsOf: entry.path[shared...])
        path = entry.path

        if entry.permissions != permissions[entry.kind] {
            flags |= EntryRecord.permissions
            record.appendVarint(UInt64(entry.permissions.mode))
            record.appendVarint(UInt64(entry.permissions.uid))
            record.appendVarint(UInt64(entry.permissions.gid))
            permissions[entry.kind] = entry.permissions
        }
        let time = entry.modificationTime
        record.appendVarint(signed: time.seconds &- mtime)
        mtime = time.seconds
        if time.nanoseconds != 0 {
            flags |= EntryRecord.nanoseconds
            record.appendVarint(UInt64(time.nanoseconds))
        }
        switch entry.kind {
        case .symbolicLink, .hardLink: record.appendCounted(entry.linkTarget)
        case .characterDevice, .blockDevice:
            record.appendVarint(UInt64(entry.deviceMajor))
            record.appendVarint(UInt64(entry.deviceMinor))
        case .file, .directory, .fifo: break
        }
        if entry.kind == .file || entry.kind == .hardLink {
            record.appendVarint(entry.content?.length ?? 0)
            if let run = entry.content, !addresses.isExpected(run, appendingElseTo: &record) {
                flags |= EntryRecord.address
            }
        }
        if !entry.xattrs.isEmpty || entry.segments != nil {
            flags |= EntryRecord.extras
            appendExtras(of: entry)
        }
        record[0] |= flags

        length.removeAll(keepingCapacity: true)
        length.appendVarint(UInt64(record.count))
        stream.write(length, to: &queue)
        stream.write(record, to: &queue)
        count += 1
    }

    private mutating func appendExtras(of entry: LayerEntry) {
        record.appendVarint(UInt64(entry.xattrs.count))
        for attribute in entry.xattrs {
            record.appendCounted(attribute.name)
            record.appendCounted(attribute.value)
        }
        guard let segments = entry.segments else {
            record.append(0)
            return
        }
        record.append(1)
        record.appendVarint(entry.size)
        record.appendVarint(UInt64(segments.count))
        var end: UInt64 = 0
        for segment in segments {
            record.appendVarint(segment.offset - end)
            record.appendVarint(segment.length)
            end = segment.offset + segment.length
        }
    }

    /// Ends the stream; the table of a layer without entries is empty.
    mutating func finish(queue: inout ChunkQueue) {
        guard stream.isStarted else { return }
        record.removeAll(keepingCapacity: true)
        record.append(0)
        record.appendVarint(UInt64(count))
        stream.write(record, to: &queue)
        stream.flush(to: &queue)
    }

    private static func sharedPrefix(_ a: [UInt8], _ b: [UInt8]) -> Int {
        a.withUnsafeBytes { a in
            b.withUnsafeBytes { b in
                let most = min(a.count, b.count)
                var position = 0
                while position + 8 <= most,
                    a.loadUnaligned(fromByteOffset: position, as: UInt64.self)
                        == b.loadUnaligned(fromByteOffset: position, as: UInt64.self)
                { position += 8 }
                while position < most, a[position] == b[position] { position += 1 }
                return position
            }
        }
    }
}

extension [UInt8] {
    fileprivate mutating func appendCounted(_ bytes: [UInt8]) {
        appendVarint(UInt64(bytes.count))
        append(contentsOf: bytes)
    }
}
