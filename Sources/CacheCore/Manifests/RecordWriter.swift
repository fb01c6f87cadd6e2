internal import CacheCrypto
internal import NIOCore

extension ByteBuffer {
    /// Begins a record as ``RecordReader/magic(_:version:)`` expects it.
    mutating func writeMagic(_ letters: StaticString, version: UInt16) {
        writeStaticString(letters)
        writeLittle(version)
    }

    mutating func writeLittle(_ value: some FixedWidthInteger) {
        writeInteger(value, endianness: .little)
    }

    mutating func writeDigest(_ digest: SHA256Digest) {
        _ = digest.withUnsafeBytes { writeBytes($0) }
    }

    mutating func writeKeyID(_ id: KeyID) {
        writeInteger(id.high, endianness: .big)
        writeInteger(id.low, endianness: .big)
    }

    mutating func writeZeros(_ count: Int) {
        writeRepeatingByte(0, count: count)
    }

    /// Ends a small record that has no authentication tag: the first 8 bytes of the SHA-256 of all before.
    mutating func writeChecksum() {
        let digest = withUnsafeReadableBytes { SHA256Digest(hashing: $0) }
        _ = digest.withUnsafeBytes { writeBytes(UnsafeRawBufferPointer(rebasing: $0[..<8])) }
    }
}

extension RecordReader {
    static let checksumBytes = 8

    /// That the last bytes of a record are the checksum of those before.
    static func verifyChecksum(of bytes: UnsafeRawBufferPointer, what: String) throws {
        var reader = RecordReader(bytes, what: what)
        let body = try reader.take(max(bytes.count - checksumBytes, 0))
        let sum = try reader.take(checksumBytes)
        guard SHA256Digest(hashing: body).withUnsafeBytes({ $0[..<checksumBytes].elementsEqual(sum) }) else {
            throw reader.malformed("its checksum is wrong")
        }
    }
}
