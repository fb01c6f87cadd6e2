package import CacheChunks
internal import CacheCrypto
package import NIOCore

/// What a host keeps of a reference that it read from L3, for the time when L3 is away: a record of 128 bytes.
///
/// An HMAC under a key of the tenant's covers it, name included. An attacker who can write to the host's disk can put
/// an older record of the same reference back, and nothing else.
package struct RememberedRef: Hashable, Sendable {
    /// What L3 said.
    package let record: RefRecord
    /// Where the host has the list of pieces of those manifests that are longer than a chunk; `nil` if none is.
    package let pieces: ChunkID?
    /// When L3 was asked, in milliseconds since 1970 by the host's clock.
    package let seenAt: UInt64

    package init(record: RefRecord, pieces: ChunkID?, seenAt: UInt64) {
        self.record = record
        self.pieces = pieces
        self.seenAt = seenAt
    }

    /// The name of a reference's record: the first 128 bits of HMAC-SHA-256(remembered ref key, text of the reference).
    ///
    /// Without the tenant's key it cannot be computed, and says nothing about the reference.
    package struct Name: Hashable, Sendable {
        fileprivate let high: UInt64
        fileprivate let low: UInt64

        package init(of reference: ImageReference, keys: TenantKeys) { self.init("\(reference)", keys) }

        /// Of the record by which a host finds the index that it has made of an image itself. No reference has a blank.
        package init(ofIndexFor image: ManifestID, keys: TenantKeys) { self.init("index \(image)", keys) }

        /// Of the record by which a host opens an image again whatever its ref names by then.
        package init(ofImage image: ManifestID, keys: TenantKeys) { self.init("image \(image)", keys) }

        private init(_ text: String, _ keys: TenantKeys) {
            var text = text
            let code = text.withUTF8 {
                HMACSHA256.authenticate(key: keys.rememberKey, UnsafeRawBufferPointer($0))
            }
            (high, low) = code.withUnsafeBytes {
                ($0.loadUnaligned(as: UInt64.self), $0.loadUnaligned(fromByteOffset: 8, as: UInt64.self))
            }
        }

        fileprivate init(_ bytes: UnsafeRawBufferPointer) {
            high = bytes.loadUnaligned(as: UInt64.self)
            low = bytes.loadUnaligned(fromByteOffset: 8, as: UInt64.self)
        }
    }

    package static let byteCount = 128
    private static let magic: StaticString = "LCRM"
    private static let version: UInt16 = 1
    private static let nameBytes = 16
    private static let codeBytes = 16

    /// The record. (docs/FORMAT.md, "Remembered refs".)
    package func encoded(as name: Name, keys: TenantKeys) -> ByteBuffer {
        var buffer = ByteBuffer()
        buffer.writeMagic(Self.magic, version: Self.version)
        buffer.writeZeros(2)
        withUnsafeBytes(of: (name.high, name.low)) { _ = buffer.writeBytes($0) }
        buffer.writeLittle(seenAt)
        buffer.writeLittle(record.generation.number)
        buffer.writeDigest(record.manifest.digest)
        buffer.writeLittle(record.setAt)
        buffer.writeDigest(pieces?.digest ?? .zero)
        let code = buffer.withUnsafeReadableBytes { Self.code($0, keys) }
        _ = code.withUnsafeBytes { buffer.writeBytes(UnsafeRawBufferPointer(rebasing: $0[..<Self.codeBytes])) }
        return buffer
    }

    /// - Throws: `.corrupt` for all that this tenant's key did not make for this name.
    package init(decoding bytes: UnsafeRawBufferPointer, as name: Name, keys: TenantKeys) throws {
        var reader = RecordReader(bytes, what: "the record of a ref")
        try reader.magic(Self.magic, version: Self.version)
        try reader.zeros(2)
        let found = Name(try reader.take(Self.nameBytes))
        seenAt = try reader.integer()
        let generation = Generation(try reader.integer())
        let manifest = ManifestID(try reader.digest())
        let setAt: UInt64 = try reader.integer()
        let pieces = ChunkID(try reader.digest())
        let expected = Self.code(UnsafeRawBufferPointer(rebasing: bytes[..<reader.offset]), keys)
        let code = try reader.take(Self.codeBytes)
        try reader.end()
        guard found == name, let generation,
            expected.withUnsafeBytes({ $0[..<Self.codeBytes].elementsEqual(code) })
        else { throw reader.malformed("its code is wrong") }
        record = RefRecord(generation: generation, manifest: manifest, setAt: setAt)
        self.pieces = pieces == ChunkID(.zero) ? nil : pieces
    }

    private static func code(_ bytes: UnsafeRawBufferPointer, _ keys: TenantKeys) -> SHA256Digest {
        HMACSHA256.authenticate(key: keys.rememberKey, bytes)
    }

    /// Magic, version and the two zeros as one word in memory order, to compare quickly: thousands of records are
    /// looked at in a row.
    private static let head: UInt64 = {
        var buffer = ByteBuffer()
        buffer.writeMagic(magic, version: version)
        buffer.writeZeros(2)
        return buffer.withUnsafeReadableBytes { $0.loadUnaligned(as: UInt64.self) }
    }()

    /// What can be said of a record without any key.
    package enum Outline: Hashable, Sendable {
        /// All zeros: a place for a record.
        case free
        case record(Name, seenAt: UInt64)
        /// Of another version.
        case foreign
        case damaged
    }

    /// - Parameter bytes: ``byteCount`` of them.
    package static func outline(_ bytes: UnsafeRawBufferPointer) -> Outline {
        let word = bytes.loadUnaligned(as: UInt64.self)
        if word == 0 { return bytes.allSatisfy { $0 == 0 } ? .free : .damaged }
        if word == head {
            let seenAt = bytes.loadUnaligned(fromByteOffset: 8 + nameBytes, as: UInt64.self)
            return .record(Name(UnsafeRawBufferPointer(rebasing: bytes[8...])), seenAt: UInt64(littleEndian: seenAt))
        }
        return UInt32(truncatingIfNeeded: word) == UInt32(truncatingIfNeeded: head) ? .foreign : .damaged
    }
}
