internal import CacheBase
internal import CacheCrypto

/// Reads little-endian fields from untrusted bytes, front to back; throws instead of reading past their end.
struct RecordReader {
    private let bytes: UnsafeRawBufferPointer
    private(set) var offset = 0
    /// Names the record in errors.
    let what: String

    init(_ bytes: UnsafeRawBufferPointer, what: String) {
        self.bytes = bytes
        self.what = what
    }

    var remaining: Int { bytes.count - offset }

    /// The error for a field that cannot be.
    func malformed(_ why: String) -> CacheError {
        CacheError(.corrupt, "\(what) is damaged: \(why)")
    }

    mutating func integer<Value: FixedWidthInteger>(_: Value.Type = Value.self) throws -> Value {
        let field = try take(MemoryLayout<Value>.size)
        return Value(littleEndian: field.loadUnaligned(as: Value.self))
    }

    mutating func digest() throws -> SHA256Digest {
        try take(SHA256Digest.byteCount).loadUnaligned(as: SHA256Digest.self)
    }

    mutating func keyID() throws -> KeyID {
        let field = try take(KeyID.byteCount)
        return KeyID(
            high: UInt64(bigEndian: field.loadUnaligned(as: UInt64.self)),
            low: UInt64(bigEndian: field.loadUnaligned(fromByteOffset: 8, as: UInt64.self)))
    }

    mutating func take(_ count: Int) throws -> UnsafeRawBufferPointer {
        guard count >= 0, count <= remaining else { throw malformed("it ends too early, at byte \(bytes.count)") }
        defer { offset += count }
        return UnsafeRawBufferPointer(rebasing: bytes[offset..<offset + count])
    }

    mutating func string(_ count: Int) throws -> String {
        guard let text = String(validating: try take(count), as: UTF8.self) else {
            throw malformed("text is not UTF-8")
        }
        return text
    }

    /// That a fixed number of reserved bytes are zero.
    mutating func zeros(_ count: Int) throws {
        guard try take(count).allSatisfy({ $0 == 0 }) else { throw malformed("reserved bytes are not zero") }
    }

    func end() throws {
        guard remaining == 0 else { throw malformed("\(remaining) bytes too many") }
    }

    /// Four letters and a version of two bytes, with which every record begins.
    mutating func magic(_ letters: StaticString, version: UInt16) throws {
        _ = try magic(letters, versions: version...version)
    }

    /// The same for a record of which several versions are known; which one it is.
    mutating func magic(_ letters: StaticString, versions: ClosedRange<UInt16>) throws -> UInt16 {
        guard remaining >= 6 else { throw malformed("it ends too early, at byte \(bytes.count)") }
        let found = try take(4)
        let expected = UnsafeRawBufferPointer(start: letters.utf8Start, count: letters.utf8CodeUnitCount)
        guard found.elementsEqual(expected) else { throw malformed("it does not begin with \(letters)") }
        let number: UInt16 = try integer()
        guard versions.contains(number) else {
            throw CacheError(
                .unsupported,
                "\(what) has format version \(number); this build knows version \(versions.upperBound): use a newer one"
            )
        }
        return number
    }
}
