internal import CacheBase
package import CacheFiles

/// The files of an OCI layout or docker archive, by their path in it: a directory, or members of a tar.
///
/// A path comes from JSON that is not trusted, and can name nothing outside. In a directory it may lead through
/// symbolic links, as build tools write them that keep blobs elsewhere: what is read is what its digest says, wherever
/// it lies.
package enum LayoutFiles: Sendable {
    case directory(OpenFile)
    case archive(ArchiveIndex, name: String)

    package static func directory(_ path: String) throws -> LayoutFiles {
        .directory(try OpenFile.open(path, .directory))
    }

    /// Indexes an archive; one that is compressed is first unpacked into a nameless temporary file, as there is no
    /// seeking in it.
    package static func archive(_ path: String, limits: ImportLimits) throws -> LayoutFiles {
        let range = try OpenFile.open(path, .nonBlocking).wholeRange()
        var magic = [UInt8](repeating: 0, count: CompressionFormat.magicLength)
        let filled = try magic.withUnsafeMutableBytes { try range.read(into: $0, at: 0) }
        let format = magic.withUnsafeBytes { CompressionFormat(magic: UnsafeRawBufferPointer(rebasing: $0[..<filled])) }
        let plain: FileRange
        switch format {
        case .none: plain = range
        case .gzip, .zstd:
            let source = try CompressionFormat.decompress(
                FileRangeSource(range), name: path, compressedSize: range.size, limit: limits.expansionLimit)
            plain = try TemporaryFile.spool(source, name: path)
        }
        return .archive(try ArchiveIndex(plain, limits: limits), name: path)
    }

    package var name: String {
        switch self {
        case .directory(let directory): directory.name
        case .archive(_, let name): name
        }
    }

    /// The file at `path`; `nil` if there is none.
    package func find(_ path: String) throws -> FileRange? {
        // Other tools take `./x` and `x//y`, too; no path needs to go up.
        let parts = path.split(separator: "/").filter { $0 != "." }
        guard !path.utf8.contains(0), path.utf8.first != UInt8(ascii: "/"), !parts.isEmpty, !parts.contains("..") else {
            throw CacheError(.invalidInput, "\(name) refers to '\(path)', which is not a path inside it")
        }
        switch self {
        case .archive(let index, _): return try index.find(path)
        case .directory(var directory):
            for (index, part) in parts.enumerated() {
                let isLast = index == parts.count - 1
                let flags: OpenFlags = isLast ? .nonBlocking : .directory
                do {
                    directory = try directory.openEntry(String(part), flags, followingLinks: true)
                } catch {
                    if Self.isMissing(String(part), in: directory) { return nil }
                    throw error
                }
            }
            return try directory.wholeRange()
        }
    }

    /// Whether there is no such entry; a symbolic link that leads nowhere is one.
    private static func isMissing(_ entry: String, in directory: OpenFile) -> Bool {
        do throws(Errno) {
            _ = try directory.descriptor.status(of: entry)
            return false
        } catch {
            return error == .noSuchFile
        }
    }

    /// The file at `path`, which must be there.
    package func require(_ path: String) throws -> FileRange {
        guard let range = try find(path) else { throw CacheError(.missing, "\(name) has no \(path)") }
        return range
    }
}

/// A file without a name: it goes away with its last descriptor, however the process ends.
enum TemporaryFile {
    /// Writes all of `source` into one, in `TMPDIR` or `/tmp`.
    static func spool(_ source: any ByteSource, name: String) throws -> FileRange {
        let directory = CurrentProcess.environment("TMPDIR") ?? "/tmp"
        let path = "\(directory)/\(TemporaryName.unique(TemporaryName.prefix))"
        let here = Descriptor.workingDirectory
        let descriptor = try reporting("make a temporary file in \(directory)") { () throws(Errno) in
            try here.open(path, [.readWrite, .createNew], mode: 0o600)
        }
        here.removeIfPossible(path)
        let file = OpenFile(adopting: descriptor, name: "the temporary copy of \(name) in \(directory)")
        // With holes: zeros that a few bytes expand to must not fill the disk.
        let output = SparseOutput(file)
        var size = 0
        try source.drain { bytes in
            try output.write(bytes, at: size)
            size += bytes.count
        }
        if output.end < size {
            try reporting("write \(name)") { () throws(Errno) in try file.descriptor.truncate(to: size) }
        }
        return FileRange(file: file, offset: 0, size: size)
    }
}
