internal import CacheBase
internal import CacheCrypto
package import CacheFiles
internal import CacheLayers

/// Where the members of an OCI or docker archive lie in its tar, so that each can be read without the others.
///
/// One pass over the headers; file contents are skipped, not read. Members may come in any order; the last of one name
/// counts, as with `tar -x`. A member takes the same memory whatever its name and, if it is sparse, its map are: about
/// 100 bytes.
package struct ArchiveIndex: Sendable {
    private enum Member: Sendable {
        case file(offset: Int, size: Int)
        /// A sparse file, by the place of its first header: its map is read again when it is asked for.
        case sparse(header: Int)
        /// A symbolic or hard link, as old `docker save` wrote for equal layers.
        case link(Name)
    }

    /// The hash of a path from the root of the archive.
    private typealias Name = SHA256Digest

    private let range: FileRange
    private let limits: LayerLimits
    private var members: [Name: Member] = [:]

    /// Indexes the tar in `range`.
    package init(_ range: FileRange, limits: ImportLimits) throws {
        self.range = range
        self.limits = limits.layer
        var scan = TarScan(range, limits: self.limits)
        while let found = try scan.next() {
            guard members.count < limits.archiveMembers else {
                throw Limit.archiveMembers.exceeded("\(range.file.name) has more than \(limits.archiveMembers) members")
            }
            let path = Self.parts(found.entry.path, from: [])
            let member: Member
            switch found.entry.kind {
            case .file where found.entry.segments != nil: member = .sparse(header: found.header)
            case .file: member = .file(offset: found.content, size: Int(found.entry.size))
            case .hardLink: member = .link(Self.name(Self.parts(found.entry.linkTarget, from: [])))
            case .symbolicLink: member = .link(Self.name(Self.parts(found.entry.linkTarget, from: path.dropLast())))
            case .directory, .characterDevice, .blockDevice, .fifo: continue
            }
            members[Self.name(path)] = member
        }
    }

    /// The contents of the member at `path`; `nil` if there is none.
    package func find(_ path: String) throws -> FileRange? {
        var name = Self.name(Self.parts(Array(path.utf8), from: []))
        for _ in 0..<8 {
            switch members[name] {
            case .file(let offset, let size):
                return FileRange(file: range.file, offset: range.offset + offset, size: size)
            case .sparse(let header): return try sparse(header, path)
            case .link(let target): name = target
            case nil: return nil
            }
        }
        throw CacheError(.invalidInput, "\(range.file.name): links from '\(path)' lead in a circle")
    }

    private func sparse(_ header: Int, _ path: String) throws -> FileRange {
        var scan = TarScan(range, from: header, limits: limits)
        guard let found = try scan.next(), let segments = found.entry.segments else {
            throw CacheError(.conflict, "\(range.file.name) changed while '\(path)' was read from it")
        }
        return FileRange(
            file: range.file, offset: range.offset + found.content, size: Int(found.entry.size),
            pieces: FilePiece.consecutive(segments.map { (start: Int($0.offset), length: Int($0.length)) }))
    }

    /// `path` as seen from a directory, without `.`, `..` and slashes too many; at the root, `..` leads nowhere. As
    /// runtimes read names.
    private static func parts(
        _ path: [UInt8], from directory: some Sequence<ArraySlice<UInt8>>
    ) -> [ArraySlice<UInt8>] {
        var parts = path.first == UInt8(ascii: "/") ? [] : Array(directory)
        for part in path.split(separator: UInt8(ascii: "/")) where !part.elementsEqual(".".utf8) {
            if part.elementsEqual("..".utf8) { _ = parts.popLast() } else { parts.append(part) }
        }
        return parts
    }

    private static func name(_ parts: [ArraySlice<UInt8>]) -> Name {
        Array(parts.joined(separator: [UInt8(ascii: "/")])).withUnsafeBytes { SHA256Digest(hashing: $0) }
    }
}
