package import CacheBase

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
        let part = UnsafeMutableRawBufferPointer(rebasing: buffer[..<wanted])
        let count = try reporting("read \(file.name)") { () throws(Errno) in
            try file.descriptor.read(into: part, at: offset + place)
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
