/// The last pieces that were read of a stream: each stays where it is until some more have been read, without being copied.
final class ReadWindow {
    private struct Piece {
        let memory: UnsafeMutableRawBufferPointer
        var start = 0
        var count = 0
    }

    private static let pieceBytes = 256 << 10
    /// Two MiB: more than the headers of any entry that libarchive takes (1 MiB), and what was read ahead of them.
    private static let mostPieces = 8

    /// The oldest first.
    private var pieces: [Piece] = []
    private var position = 0

    deinit {
        for piece in pieces { piece.memory.deallocate() }
    }

    /// Reads the next piece. Its memory stays valid for the next ones, too.
    func next(_ read: (UnsafeMutableRawBufferPointer) throws -> Int) throws -> UnsafeRawBufferPointer {
        var piece =
            pieces.count < Self.mostPieces
            ? Piece(memory: .allocate(byteCount: Self.pieceBytes, alignment: 4096)) : pieces.removeFirst()
        piece.count = 0
        defer { pieces.append(piece) }
        piece.start = position
        piece.count = try read(piece.memory)
        position += piece.count
        return UnsafeRawBufferPointer(rebasing: piece.memory[..<piece.count])
    }

    /// All that was read from `position` of the stream on; `nil` if that is too long ago.
    func bytes(from position: Int) -> [UInt8]? {
        guard let oldest = pieces.first, oldest.start <= position else { return nil }
        return pieces.flatMap { $0.memory[min(max(position - $0.start, 0), $0.count)..<$0.count] }
    }
}
