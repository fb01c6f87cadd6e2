package import CacheBase
package import Glibc

/// A file descriptor, with the name that messages call it by; closed when the last one lets go of it.
package final class OpenFile: Sendable {
    package let descriptor: Int32
    package let name: String

    /// Takes over `descriptor`.
    package init(adopting descriptor: Int32, name: String) {
        self.descriptor = descriptor
        self.name = name
    }

    deinit { close(descriptor) }

    /// Opens `path`, following symbolic links: only for paths that the user gave.
    package static func open(_ path: String, _ flags: Int32 = O_RDONLY) throws -> OpenFile {
        let descriptor = try retryingInterrupts("open \(path)") { Glibc.open(path, flags | O_CLOEXEC) }
        return OpenFile(adopting: descriptor, name: path)
    }

    /// Opens one entry of this directory; what a symbolic link leads to only if that is wanted.
    package func openEntry(_ entry: String, _ flags: Int32, followingLinks: Bool = false) throws -> OpenFile {
        let path = "\(name)/\(entry)"
        let descriptor = try retryingInterrupts("open \(path)") {
            openat(self.descriptor, entry, flags | (followingLinks ? 0 : O_NOFOLLOW) | O_CLOEXEC)
        }
        return OpenFile(adopting: descriptor, name: path)
    }

    package func status() throws -> stat {
        var status = stat()
        try retryingInterrupts("stat \(name)") { fstat(descriptor, &status) }
        return status
    }

    package enum Kind {
        /// Can be read at any place.
        case bytes
        /// Can be read from front to back only.
        case stream
        case directory
    }

    package func kind() throws -> Kind {
        switch try status().st_mode & S_IFMT {
        case S_IFREG, S_IFBLK: .bytes
        case S_IFDIR: .directory
        default: .stream
        }
    }

    /// All of a regular file or block device, as a range of bytes.
    package func wholeRange() throws -> FileRange {
        let status = try status()
        switch status.st_mode & S_IFMT {
        case S_IFREG:
            return FileRange(file: self, offset: 0, size: Int(status.st_size))
        case S_IFBLK:
            let end = try retryingInterrupts("find the size of \(name)") { lseek(descriptor, 0, SEEK_END) }
            return FileRange(file: self, offset: 0, size: end)
        default:
            throw CacheError(.invalidInput, "\(name) is not a regular file")
        }
    }
}

/// Bytes of a file that stay where they are: a whole file, or a member of an archive.
package struct FileRange: Sendable {
    package let file: OpenFile
    package let offset: Int
    /// Bytes that can be read, those in holes included.
    package let size: Int
    /// What of a sparse member is there, and where; `nil` if all of it is, in one piece.
    private let pieces: [FilePiece]?

    package init(file: OpenFile, offset: Int, size: Int) {
        self.file = file
        self.offset = offset
        self.size = size
        pieces = nil
    }

    /// A sparse member: `pieces` of it lie at `offset`; the rest of it is zero.
    package init(file: OpenFile, offset: Int, size: Int, pieces: [FilePiece]) {
        self.file = file
        self.offset = offset
        self.size = size
        self.pieces = pieces
    }

    /// Reads at `position` of the range; 0 at its end.
    /// - Throws: ``CacheError`` `.io`, also when the file has become shorter than the range.
    package func read(into buffer: UnsafeMutableRawBufferPointer, at position: Int) throws -> Int {
        var wanted = min(buffer.count, size - position)
        guard wanted > 0 else { return 0 }
        var place = position
        if let pieces {
            switch FilePiece.find(position, in: pieces) {
            case .data(let found, let count): (place, wanted) = (found, min(wanted, count))
            case .hole(let end):
                wanted = min(wanted, (end ?? size) - position)
                UnsafeMutableRawBufferPointer(rebasing: buffer[..<wanted]).initializeMemory(
                    as: UInt8.self, repeating: 0)
                return wanted
            }
        }
        let count = try retryingInterrupts("read \(file.name)") {
            pread(file.descriptor, buffer.baseAddress, wanted, offset + place)
        }
        guard count > 0 else { throw CacheError(.io, "\(file.name) became shorter while it was read") }
        return count
    }

    /// All bytes of a JSON document of an image.
    package func readDocument(_ limits: JSONLimits) throws -> [UInt8] {
        guard size <= limits.bytes else {
            throw Limit.documentBytes.exceeded(
                "\(file.name) has a document of \(size) bytes, more than \(Limit.documentBytes.text(limits.bytes))"
            )
        }
        return try readAll(atMost: size)
    }

    /// All bytes of a document that must be small.
    package func readAll(atMost limit: Int) throws -> [UInt8] {
        guard size <= limit else {
            throw CacheError(.limitExceeded, "\(file.name) has \(size) bytes, more than the limit of \(limit)")
        }
        return try [UInt8](unsafeUninitializedCapacity: size) { buffer, filled in
            while filled < size {
                filled += try read(
                    into: UnsafeMutableRawBufferPointer(rebasing: UnsafeMutableRawBufferPointer(buffer)[filled...]),
                    at: filled)
            }
        }
    }
}

/// A ``FileRange`` from front to back; several may read one file at the same time.
package final class FileRangeSource: ByteSource {
    private let range: FileRange
    private var position = 0

    package init(_ range: FileRange) { self.range = range }

    package func read(into buffer: UnsafeMutableRawBufferPointer) throws -> Int {
        let count = try range.read(into: buffer, at: position)
        position += count
        return count
    }
}

/// The bytes of a file that nobody may write to while they are read: the result would be a file that never was.
package final class SteadySource: ByteSource {
    private let source: any ByteSource
    private let file: OpenFile
    private let before: stat
    private let sizeOnly: Bool

    /// - Parameters:
    ///   - source: reads `file`.
    ///   - before: what the file was when its size was taken.
    ///   - sizeOnly: its time says nothing.
    package init(_ source: any ByteSource, _ file: OpenFile, since before: stat, sizeOnly: Bool) {
        self.source = source
        self.file = file
        self.before = before
        self.sizeOnly = sizeOnly
    }

    package func read(into buffer: UnsafeMutableRawBufferPointer) throws -> Int {
        let count = try source.read(into: buffer)
        if count == 0 {
            guard try file.status().hasSameContents(as: before, sizeOnly: sizeOnly) else {
                throw CacheError.changed(file)
            }
        }
        return count
    }
}

extension stat {
    /// As far as size and time of the last change show it.
    package func hasSameContents(as before: stat, sizeOnly: Bool = false) -> Bool {
        st_size == before.st_size
            && (sizeOnly || st_mtim.tv_sec == before.st_mtim.tv_sec && st_mtim.tv_nsec == before.st_mtim.tv_nsec)
    }
}

extension CacheError {
    package static func changed(_ file: OpenFile) -> CacheError {
        CacheError(.conflict, "\(file.name) changed while it was read: push it again when nobody writes to it")
    }
}
