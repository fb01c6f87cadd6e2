internal import CacheCore
internal import NIOCore

/// The file in which a host keeps what it remembers of refs: places of 128 bytes, each free or with one record. Blocks.
///
/// Several processes may use it at once: who changes it holds a lock on it for some microseconds, who reads needs none.
/// A place lies in one page, so a process that is killed leaves a record whole, old or new. Nothing waits for the disk:
/// a machine that fails loses what it saw in its last half minute.
struct RefFile: Sendable {
    let path: String
    /// The most records. The one that was confirmed least recently gives way.
    let places: Int

    enum Found {
        /// Of that name; whether it is genuine only a tenant's key tells.
        case record(ByteBuffer)
        /// How many places hold what is no record.
        case none(damaged: Int)
    }

    private static let placeBytes = RememberedRef.byteCount
    /// The most places that any capacity has; no more of a file is ever read.
    private static let mostPlaces = 8192
    /// A record from the future is of a clock that was set back since, and counts as old.
    private static let tolerance: UInt64 = 60_000
    private static let patience = Duration.milliseconds(100)

    /// Few enough for the room that a store of that capacity leaves beside its chunks: 16 KiB, or 1/4096 of it if that
    /// is more.
    init(directory: String, capacity: UInt64) {
        path = "\(directory)/refs"
        places = min(max(Int(clamping: capacity / 4096) / Self.placeBytes, 128), Self.mostPlaces)
    }

    /// The record of `name`; some 10 us, and 1 ms where thousands are kept.
    func find(_ name: RememberedRef.Name) throws -> Found {
        guard let file = try open([]) else { return .none(damaged: 0) }
        return find(name, in: try contents(of: file))
    }

    /// As above, under the lock: no other process changes the file meanwhile.
    func findLocked(_ name: RememberedRef.Name) throws -> Found {
        guard let file = try open(.readWrite) else { return .none(damaged: 0) }
        return try locked(file) { find(name, in: try contents(of: file)) }
    }

    private func find(_ name: RememberedRef.Name, in contents: ByteBuffer) -> Found {
        var damaged = 0
        for (index, outline) in outlines(of: contents).enumerated() {
            switch outline {
            case .record(name, _):
                let start = contents.readerIndex + index * Self.placeBytes
                if let record = contents.getSlice(at: start, length: Self.placeBytes) { return .record(record) }
            case .damaged: damaged += 1
            case .record, .free, .foreign: continue
            }
        }
        return .none(damaged: damaged)
    }

    /// Keeps a record, unless one of that name is there that was seen later.
    func put(_ record: ByteBuffer, _ name: RememberedRef.Name, seenAt: UInt64, now: UInt64) throws {
        guard let file = try open([.readWrite, .create]) else { return }
        try locked(file) {
            let outlines = outlines(of: try contents(of: file))
            guard let place = place(for: name, seenAt: seenAt, now: now, in: outlines) else { return }
            try write(record, at: place * Self.placeBytes, to: file)
        }
    }

    /// Frees the place of `name`, unless it was seen later than `seenAt`.
    func remove(_ name: RememberedRef.Name, seenUpTo seenAt: UInt64) throws {
        guard let file = try open(.readWrite) else { return }
        try locked(file) {
            for (index, outline) in outlines(of: try contents(of: file)).enumerated() {
                guard case .record(name, let seen) = outline, seen <= seenAt else { continue }
                try write(
                    ByteBuffer(repeating: 0, count: Self.placeBytes), at: index * Self.placeBytes, to: file)
            }
        }
    }

    // MARK: Places

    private func outlines(of contents: ByteBuffer) -> [RememberedRef.Outline] {
        contents.withUnsafeReadableBytes { bytes in
            stride(from: 0, through: bytes.count - Self.placeBytes, by: Self.placeBytes).map { start in
                RememberedRef.outline(UnsafeRawBufferPointer(rebasing: bytes[start..<start + Self.placeBytes]))
            }
        }
    }

    /// Where a record goes; `nil` if a later one is there, or nothing but records of a newer version.
    private func place(
        for name: RememberedRef.Name, seenAt: UInt64, now: UInt64, in outlines: [RememberedRef.Outline]
    ) -> Int? {
        var free: Int?
        var oldest: (index: Int, seenAt: UInt64)?
        for (index, outline) in outlines.enumerated() {
            switch outline {
            case .record(name, let seen):
                let isLater = seen > seenAt && seen <= now + Self.tolerance
                return isLater ? nil : index
            case .record(_, let seen):
                if seen < oldest?.seenAt ?? .max { oldest = (index, seen) }
            case .free, .damaged:
                free = free ?? index
            case .foreign:
                continue
            }
        }
        return free ?? (outlines.count < places ? outlines.count : oldest?.index)
    }

    // MARK: The file

    /// `nil` if there is none, or no directory for it.
    private func open(_ flags: OpenFlags) throws -> OpenFile? {
        let descriptor: Descriptor
        do throws(Errno) {
            descriptor = try Descriptor.workingDirectory.open(
                path, flags.union(.entry), mode: 0o600)
        } catch {
            if error == .noSuchFile { return nil }
            throw CacheError.system("open \(path)", error)
        }
        let file = OpenFile(adopting: descriptor, name: path)
        guard try file.status().kind == .regular else { throw CacheError(.io, "\(path) is not a file") }
        return file
    }

    private func contents(of file: OpenFile) throws -> ByteBuffer {
        let size = min(try file.status().size, Self.mostPlaces * Self.placeBytes)
        var contents = ByteBufferAllocator().buffer(capacity: size)
        try contents.writeWithUnsafeMutableBytes(minimumWritableBytes: size) { room in
            let room = UnsafeMutableRawBufferPointer(rebasing: room[..<size])
            return try reporting("read \(path)") { () throws(Errno) in try file.descriptor.readAll(into: room, at: 0) }
        }
        return contents
    }

    private func write(_ record: ByteBuffer, at offset: Int, to file: OpenFile) throws {
        let count = try record.withUnsafeReadableBytes { bytes in
            try reporting("write \(path)") { () throws(Errno) in try file.descriptor.write(bytes, at: offset) }
        }
        guard count == record.readableBytes else { throw CacheError(.io, "write \(path): the disk is full") }
    }

    /// A neighbour that is stopped while it holds the lock is waited for no longer than 100 ms: then nothing is
    /// remembered this time.
    private func locked<R>(_ file: OpenFile, _ body: () throws -> R) throws -> R {
        guard try FileLock.take(file.descriptor, path: path, within: Self.patience) else {
            throw CacheError(.conflict, "\(path) is locked by another process")
        }
        // Closing would do it, but the file may live a little longer than this.
        defer { FileLock.unlock(file.descriptor) }
        return try body()
    }
}
