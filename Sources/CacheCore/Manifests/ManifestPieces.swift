package import CacheChunks
package import NIOCore

/// How manifests that are longer than a chunk are cut, so that L1 and L2 keep them as they keep chunks: pieces of 512
/// KiB, each named by its SHA-256, as the list itself is: from the list's name the list can be had, and from it the
/// manifests.
package struct ManifestPieces: Sendable, Equatable {
    /// One manifest: its length and its pieces in order.
    package struct Cut: Sendable, Equatable {
        package let byteCount: Int
        package let pieces: [ChunkID]

        package init(byteCount: Int, pieces: [ChunkID]) {
            self.byteCount = byteCount
            self.pieces = pieces
        }

        /// The length of one of the pieces.
        package func length(of index: Int) -> Int {
            min(byteCount - index * ManifestPieces.pieceBytes, ManifestPieces.pieceBytes)
        }
    }

    /// By manifest.
    package private(set) var cuts: [ManifestID: Cut]

    /// The length of every piece but the last.
    package static let pieceBytes = ChunkLimits.sealedBytes
    private static let magic: StaticString = "LCMP"
    private static let version: UInt16 = 1

    package init(_ cuts: [ManifestID: Cut] = [:]) {
        self.cuts = cuts
    }

    /// Remembers how a manifest was cut, if it was.
    package mutating func add(_ cut: Cut?, of id: ManifestID) {
        if let cut { cuts[id] = cut }
    }

    /// Whether a manifest of that length is cut at all.
    package static func cuts(_ byteCount: Int) -> Bool { byteCount > pieceBytes }

    /// The list as bytes, in order of the manifests' names; `nil` if it would be longer than a chunk (8 GiB of
    /// manifests).
    package func encoded() -> ByteBuffer? {
        var buffer = ByteBuffer()
        buffer.writeMagic(Self.magic, version: Self.version)
        buffer.writeZeros(2)
        buffer.writeLittle(UInt32(cuts.count))
        for (id, cut) in cuts.sorted(by: { $0.key < $1.key }) {
            buffer.writeDigest(id.digest)
            buffer.writeLittle(UInt32(cut.byteCount))
            for piece in cut.pieces { buffer.writeDigest(piece.digest) }
        }
        return buffer.readableBytes <= ChunkLimits.sealedBytes ? buffer : nil
    }

    /// - Throws: `.corrupt` or `.unsupported` for all that ``encoded()`` would not have made.
    package init(decoding list: ByteBuffer) throws {
        cuts = try list.withUnsafeReadableBytes { bytes in
            var reader = RecordReader(bytes, what: "a list of manifest pieces")
            try reader.magic(Self.magic, version: Self.version)
            try reader.zeros(2)
            let count = try reader.integer(UInt32.self)
            var cuts: [ManifestID: Cut] = [:]
            for _ in 0..<count {
                let id = ManifestID(try reader.digest())
                let byteCount = Int(try reader.integer(UInt32.self))
                guard Self.cuts(byteCount), byteCount <= ManifestHeader.maximumBytes else {
                    throw reader.malformed("manifest \(id) has a length that is not cut")
                }
                let pieces = try (0..<(byteCount + Self.pieceBytes - 1) / Self.pieceBytes).map { _ in
                    ChunkID(try reader.digest())
                }
                cuts[id] = Cut(byteCount: byteCount, pieces: pieces)
            }
            try reader.end()
            return cuts
        }
    }
}
