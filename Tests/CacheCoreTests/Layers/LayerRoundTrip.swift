import CacheCore
import NIOCore
import Testing

/// Bytes from memory, in pieces of awkward sizes.
final class PieceSource: ByteSource {
    private let bytes: [UInt8]
    private var position = 0
    private let piece: Int

    init(_ bytes: [UInt8], piece: Int = .max) {
        self.bytes = bytes
        self.piece = piece
    }

    func read(into buffer: UnsafeMutableRawBufferPointer) throws -> Int {
        let count = min(buffer.count, bytes.count - position, piece)
        buffer.copyBytes(from: bytes[position..<position + count])
        position += count
        return count
    }
}

/// A layer that was split: what a store would hold, in memory.
struct SplitLayer {
    let summary: LayerSummary
    var data: [Int: ByteBuffer] = [:]
    var skeleton: [UInt8] = []
    var entryTable: [UInt8] = []
    /// Chunks of the skeleton and the entry table, for counting.
    var metadataChunks: [ByteBuffer] = []

    init(_ source: any ByteSource, kind: LayerKind = .tar, limits: LayerLimits = LayerLimits()) throws {
        let splitter = LayerSplitter(source, kind: kind, limits: limits)
        var nextSlot: [LayerStream: Int] = [:]
        while let chunk = try splitter.next() {
            try #require(chunk.bytes.readableBytes >= 1)
            try #require(chunk.bytes.readableBytes <= ChunkLimits.plainBytes)
            switch chunk.stream {
            case .data:
                try #require(data[chunk.slot] == nil, "slot \(chunk.slot) came twice")
                data[chunk.slot] = chunk.bytes
            case .skeleton, .entries:
                try #require(chunk.slot == nextSlot[chunk.stream, default: 0])
                nextSlot[chunk.stream] = chunk.slot + 1
                metadataChunks.append(chunk.bytes)
                if chunk.stream == .skeleton {
                    skeleton += chunk.bytes.readableBytesView
                } else {
                    entryTable += chunk.bytes.readableBytesView
                }
            }
        }
        summary = splitter.summary
        try #require(data.count == summary.slots(in: .data))
        try #require(data.keys.allSatisfy { $0 >= 0 && $0 < summary.slots(in: .data) })
        try #require(nextSlot[.skeleton, default: 0] == summary.slots(in: .skeleton))
        try #require(nextSlot[.entries, default: 0] == summary.slots(in: .entries))
    }

    init(file: String) throws {
        try self.init(PieceSource(fileBytes(file)))
    }

    /// The bytes of a run, put together from the chunks.
    func read(_ run: DataRun) throws -> [UInt8] {
        var bytes: [UInt8] = []
        var slot = Int(run.address.slot)
        var offset = run.address.offset
        while UInt64(bytes.count) < run.length {
            let chunk = try #require(data[slot], "the run leads to slot \(slot), which does not exist")
            let count = min(Int(run.length) - bytes.count, ChunkLimits.plainBytes - offset)
            bytes += try #require(
                chunk.getBytes(at: chunk.readerIndex + offset, length: count), "the run leaves its chunk")
            slot += 1
            offset = 0
        }
        return bytes
    }

    /// The tar, rebuilt from skeleton and data region; the skeleton is fed in pieces.
    func rebuild(piece: Int = 4093) throws -> [UInt8] {
        guard !skeleton.isEmpty else { return [] }
        var reader = SkeletonReader()
        var tar: [UInt8] = []
        var literal = ByteBuffer()
        var position = 0
        while true {
            let step = try reader.next(literal: &literal)
            tar += literal.readableBytesView
            literal.clear()
            switch step {
            case .literal: break
            case .data(let run): tar += try read(run)
            case .needMore:
                try #require(position < skeleton.count, "the skeleton is cut off")
                let end = min(position + piece, skeleton.count)
                skeleton[position..<end].withUnsafeBytes { reader.append($0) }
                position = end
            case .end:
                try reader.checkEnded()
                return tar
            }
        }
    }

    func entries(piece: Int = 4093) throws -> [LayerEntry] {
        guard !entryTable.isEmpty else { return [] }
        var reader = EntryTableReader()
        var entries: [LayerEntry] = []
        var position = 0
        while true {
            switch try reader.next() {
            case .entry(let entry): entries.append(entry)
            case .needMore:
                try #require(position < entryTable.count, "the entry table is cut off")
                let end = min(position + piece, entryTable.count)
                entryTable[position..<end].withUnsafeBytes { reader.append($0) }
                position = end
            case .end:
                try reader.checkEnded()
                return entries
            }
        }
    }

    /// The file as its readers see it: sparse ones with their zeros.
    func content(of entry: LayerEntry) throws -> [UInt8] {
        let stored = try entry.content.map { try read($0) } ?? []
        guard let segments = entry.segments else { return stored }
        var bytes = [UInt8](repeating: 0, count: Int(entry.size))
        var position = 0
        for segment in segments {
            let range = Int(segment.offset)..<Int(segment.offset + segment.length)
            bytes.replaceSubrange(range, with: stored[position..<position + range.count])
            position += range.count
        }
        return bytes
    }
}

/// Splits `tar`, and checks that the same bytes come back and that the digest is theirs.
@discardableResult
func expectRoundTrip(
    _ tar: [UInt8], piece: Int = .max, _ comment: Comment? = nil, sourceLocation: SourceLocation = #_sourceLocation
) throws -> SplitLayer {
    let layer = try SplitLayer(PieceSource(tar, piece: piece))
    #expect(layer.summary.byteCount == UInt64(tar.count), comment, sourceLocation: sourceLocation)
    #expect(
        layer.summary.diffID == tar.withUnsafeBytes { SHA256Digest(hashing: $0) }, comment,
        sourceLocation: sourceLocation)
    let isEqual = try layer.rebuild() == tar
    #expect(isEqual, comment, sourceLocation: sourceLocation)
    let count = try layer.entries().count
    #expect(count == layer.summary.entryCount, comment, sourceLocation: sourceLocation)
    return layer
}
