import CacheCore
import NIOCore
import Testing

@testable import CacheManifests

@Suite struct ManifestPiecesTests {
    private func id(_ number: Int) -> ManifestID { ManifestID(KnownAnswers.digest(UInt8(number))) }

    private func cut(_ byteCount: Int) -> ManifestPieces.Cut {
        let count = (byteCount + ManifestPieces.pieceBytes - 1) / ManifestPieces.pieceBytes
        return .init(byteCount: byteCount, pieces: (0..<count).map { ChunkID(KnownAnswers.digest(UInt8($0))) })
    }

    @Test func listsComeBack() throws {
        var pieces = ManifestPieces()
        #expect(try ManifestPieces(decoding: try #require(pieces.encoded())) == pieces)
        pieces.add(nil, of: id(1))
        pieces.add(cut(ManifestPieces.pieceBytes + 1), of: id(2))
        pieces.add(cut(2 * ManifestPieces.pieceBytes), of: id(3))
        pieces.add(cut(ManifestHeader.maximumBytes), of: id(4))
        #expect(pieces.cuts.count == 3)
        #expect(pieces.cuts[id(2)]?.pieces.count == 2)
        #expect(pieces.cuts[id(3)]?.pieces.count == 2)
        #expect(pieces.cuts[id(2)]?.length(of: 0) == ManifestPieces.pieceBytes)
        #expect(pieces.cuts[id(2)]?.length(of: 1) == 1)
        #expect(try ManifestPieces(decoding: try #require(pieces.encoded())) == pieces)
    }

    @Test func whatIsNoListIsRefused() async throws {
        var pieces = ManifestPieces()
        pieces.add(cut(ManifestPieces.pieceBytes + 7), of: id(2))
        let list = Array(try #require(pieces.encoded()).readableBytesView)
        var variants = (0..<list.count).map { Array(list.prefix($0)) } + [list + [0]]
        for (offset, value) in [(0, 1), (4, 2), (6, 1), (8, 2), (8, 0), (11, 255), (44, 0), (46, 0), (47, 255)] {
            variants.append(list)
            variants[variants.count - 1][offset] = UInt8(value)
        }
        for variant in variants {
            let error = await failure { try ManifestPieces(decoding: ByteBuffer(bytes: variant)) }
            #expect(error?.code == .corrupt || error?.code == .unsupported)
        }
    }

    /// A list is kept as a chunk is, so it is no longer than one.
    @Test func aListThatIsTooLongIsNone() {
        var pieces = ManifestPieces()
        for number in 0..<126 { pieces.add(cut(ManifestHeader.maximumBytes), of: id(number)) }
        #expect(pieces.encoded() != nil)
        for number in 126..<128 { pieces.add(cut(ManifestHeader.maximumBytes), of: id(number)) }
        #expect(pieces.encoded() == nil)
    }
}
