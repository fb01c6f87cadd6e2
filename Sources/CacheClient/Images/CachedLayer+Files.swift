public import CacheCore
public import NIOCore

extension CachedLayer {
    /// Appends `count` bytes of a file from `offset` on to `buffer`, cut at the file's end. What a sparse file does not
    /// store reads as zeros.
    ///
    /// - Throws: `.invalidInput` for a negative offset or count, `.limitExceeded` beyond ``maximumReadBytes``, else as
    ///   the tiers do; then nothing is appended.
    public func read(_ entry: LayerEntry, at offset: Int, count: Int, into buffer: inout ByteBuffer) async throws {
        let range = try Self.range(of: entry, at: offset, count: count)
        try Self.checkRoom(for: range.count, in: buffer)
        let start = buffer.writerIndex
        do {
            for piece in Self.pieces(of: entry, in: range) {
                switch piece {
                case .hole(let length): buffer.writeRepeatingByte(0, count: length)
                case .stored(let run, let skipped, let length):
                    try await read(at: run.advanced(by: skipped), count: length, into: &buffer)
                }
            }
        } catch {
            buffer.moveWriterIndex(to: start)
            throw error
        }
    }

    /// As ``read(_:at:count:into:)``, but into memory of the caller, such as a page that a FUSE or NBD request answers
    /// with: fills `memory` from its start, as far as the file goes. Copies each byte once.
    ///
    /// - Parameter memory: must stay valid, and must not be used otherwise, until this returns or throws. If it throws,
    ///   its content is undefined.
    /// - Returns: how many bytes were filled; 0 at the file's end and beyond.
    /// - Throws: as ``read(_:at:count:into:)``.
    nonisolated(nonsending) public func read(
        _ entry: LayerEntry, at offset: Int, into memory: UnsafeMutableRawBufferPointer
    ) async throws -> Int {
        let range = try Self.range(of: entry, at: offset, count: memory.count)
        var position = 0
        for piece in Self.pieces(of: entry, in: range) {
            let length = piece.length
            let part = UnsafeMutableRawBufferPointer(rebasing: memory[position..<position + length])
            switch piece {
            case .hole: part.initializeMemory(as: UInt8.self, repeating: 0)
            case .stored(let run, let skipped, _): try await read(at: run.advanced(by: skipped), into: part)
            }
            position += length
        }
        return position
    }

    /// A part of what a read of a file covers.
    private enum Piece {
        case hole(Int)
        /// `length` bytes, `skipped` bytes from the beginning of what the file stores.
        case stored(RegionAddress, skipped: Int, length: Int)

        var length: Int {
            switch self {
            case .hole(let length), .stored(_, _, let length): length
            }
        }
    }

    /// The bytes of the file that a read asks for and that there are.
    private static func range(of entry: LayerEntry, at offset: Int, count: Int) throws(CacheError) -> Range<Int> {
        guard offset >= 0, count >= 0 else {
            throw CacheError(.invalidInput, "a read of \(count) bytes at \(offset) makes no sense")
        }
        let size = Int(clamping: entry.size)
        let end = min(size, offset.addingReportingOverflow(count).overflow ? size : offset + count)
        guard offset < end else { return 0..<0 }
        guard end - offset <= maximumReadBytes else { throw tooLarge(end - offset) }
        return offset..<end
    }

    private static func pieces(of entry: LayerEntry, in range: Range<Int>) -> [Piece] {
        guard !range.isEmpty else { return [] }
        guard let content = entry.content else { return [.hole(range.count)] }
        var pieces: [Piece] = []
        var position = range.lowerBound
        var stored = 0
        for segment in entry.segments ?? [LayerEntry.Segment(offset: 0, length: content.length)] {
            let start = Int(clamping: segment.offset)
            let length = Int(clamping: segment.length)
            let from = max(position, start)
            let to = min(range.upperBound, start.addingReportingOverflow(length).partialValue)
            if from < to {
                if from > position { pieces.append(.hole(from - position)) }
                pieces.append(.stored(content.address, skipped: stored + from - start, length: to - from))
                position = to
            }
            stored += length
        }
        if position < range.upperBound { pieces.append(.hole(range.upperBound - position)) }
        return pieces
    }
}

extension RegionAddress {
    /// The address that lies `bytes` further on.
    func advanced(by bytes: Int) throws(CacheError) -> RegionAddress {
        let (sum, overflow) = rawValue.addingReportingOverflow(UInt64(clamping: bytes))
        guard !overflow else { throw CacheError(.corrupt, "an address beyond the end of all regions") }
        return RegionAddress(rawValue: sum)
    }
}

extension DataRun {
    /// What is left of the run without its first `count` bytes; `nil` if that is nothing.
    func dropping(_ count: Int) -> DataRun? {
        let count = UInt64(clamping: count)
        guard count < length else { return nil }
        return DataRun(address: RegionAddress(rawValue: address.rawValue &+ count), length: length - count)
    }
}
