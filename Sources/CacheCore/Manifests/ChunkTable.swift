internal import CacheBase
internal import CacheChunks
internal import CacheCrypto
internal import NIOCore

/// The streams of a layer as a table of distinct chunks and, for each place in a stream, a slot of 4 bytes.
///
/// A slot is the index of a chunk in the table, or the length of a zero chunk with the highest bit set.
struct ChunkTable {
    private(set) var distinct: [ChunkRef] = []
    private var slots: [UInt32] = []

    private static let zeroBit: UInt32 = 1 << 31
    /// Key, then plaintext length in 24 bits, then codec in 8.
    private static let entryBytes = 36
    private static let slotBytes = 4

    var encodedBytes: Int { distinct.count * Self.entryBytes + slots.count * Self.slotBytes }

    init(streams: [[ChunkRef]]) throws {
        let total = streams.reduce(0) { $0 + $1.count }
        guard total <= LayerManifest.maximumChunks else {
            throw CacheError(
                .limitExceeded, "a layer has \(total) chunks; at most \(LayerManifest.maximumChunks) are allowed")
        }
        slots.reserveCapacity(total)
        var known: [ChunkID: UInt32] = [:]
        known.reserveCapacity(total)
        for ref in streams.joined() {
            guard Self.isPossible(ref) else {
                throw CacheError(.invalidInput, "chunk \(ref.id) has lengths that no chunk can have")
            }
            if ref.isZero {
                slots.append(Self.zeroBit | ref.plainLength)
            } else if let index = known[ref.id] {
                guard distinct[Int(index)] == ref else {
                    throw CacheError(.invalidInput, "chunk \(ref.id) is described in two ways")
                }
                slots.append(index)
            } else {
                let index = UInt32(distinct.count)
                known[ref.id] = index
                distinct.append(ref)
                slots.append(index)
            }
        }
    }

    private static func isPossible(_ ref: ChunkRef) -> Bool {
        guard (1...UInt32(ChunkLimits.plainBytes)).contains(ref.plainLength) else { return false }
        switch ref.codec {
        case .raw: return ref.isZero || ref.sealedLength == ref.plainLength
        case .zstd: return (1..<ref.plainLength).contains(ref.sealedLength)
        }
    }

    func encode(into body: inout ByteBuffer) {
        for ref in distinct {
            ref.key.secret.withUnsafeBytes { _ = body.writeBytes($0) }
            body.writeLittle(ref.plainLength | UInt32(ref.codec.rawValue) << 24)
        }
        for slot in slots { body.writeLittle(slot) }
    }

    /// The streams again. `chunks` is the plain list of the manifest, in the order of the table.
    static func decodeStreams(
        _ counts: [Int], chunks: [(id: ChunkID, sealedLength: UInt32)], _ reader: inout RecordReader
    ) throws -> [[ChunkRef]] {
        guard counts.reduce(0, +) <= LayerManifest.maximumChunks else {
            throw CacheError(
                .limitExceeded,
                "\(reader.what) has more chunks than the \(LayerManifest.maximumChunks) that are allowed")
        }
        let table = try decodeTable(chunks, &reader)
        return try counts.map { count in
            let slots = try reader.take(count * slotBytes)
            var stream: [ChunkRef] = []
            stream.reserveCapacity(count)
            for offset in stride(from: 0, to: count * slotBytes, by: slotBytes) {
                let slot = UInt32(littleEndian: slots.loadUnaligned(fromByteOffset: offset, as: UInt32.self))
                if slot & zeroBit != 0 {
                    let zero = ChunkRef.zero(plainLength: slot & ~zeroBit)
                    guard isPossible(zero) else { throw reader.malformed("a zero chunk has an impossible length") }
                    stream.append(zero)
                } else {
                    guard slot < table.count else { throw reader.malformed("a slot names no chunk") }
                    stream.append(table[Int(slot)])
                }
            }
            return stream
        }
    }

    private static func decodeTable(
        _ chunks: [(id: ChunkID, sealedLength: UInt32)], _ reader: inout RecordReader
    ) throws -> [ChunkRef] {
        let entries = try reader.take(chunks.count * entryBytes)
        var table: [ChunkRef] = []
        table.reserveCapacity(chunks.count)
        var offset = 0
        for chunk in chunks {
            let key = ChunkKey(Key256(entries.loadUnaligned(fromByteOffset: offset, as: SHA256Digest.self)))
            let word = UInt32(
                littleEndian: entries.loadUnaligned(
                    fromByteOffset: offset + SHA256Digest.byteCount, as: UInt32.self))
            guard let codec = ChunkCodec(rawValue: UInt8(word >> 24)) else {
                throw reader.malformed("chunk \(chunk.id) has an unknown codec")
            }
            let ref = ChunkRef(
                id: chunk.id, key: key, plainLength: word & 0xFF_FFFF, sealedLength: chunk.sealedLength, codec: codec)
            guard isPossible(ref) else {
                throw reader.malformed("chunk \(chunk.id) has lengths that no chunk can have")
            }
            table.append(ref)
            offset += entryBytes
        }
        return table
    }
}
