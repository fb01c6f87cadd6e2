internal import CacheBase
internal import CacheCrypto
internal import NIOCore

/// How a manifest is sealed: plain part, then a fresh data key wrapped by the tenant's, then the encrypted part.
///
///     plain part || box(wrap key, data key, associated: plain part) || box(data key, body, associated: all before)
///
/// A box is as ``AES256GCM`` makes it. (docs/FORMAT.md, "Manifest".)
enum ManifestEnvelope {
    private static let wrappedBytes = SHA256Digest.byteCount + AES256GCM.overhead

    /// - Throws: `.limitExceeded` if it would be longer than a manifest may be.
    static func seal(
        _ header: ManifestHeader, body: ByteBuffer, keys: TenantKeys
    ) throws -> (id: ManifestID, sealed: ByteBuffer) {
        let plain = header.encoded()
        let total = byteCount(plain: plain.readableBytes, body: body.readableBytes)
        guard total <= ManifestHeader.maximumBytes else {
            throw CacheError(
                .limitExceeded,
                "a manifest would have \(total) bytes; at most \(ManifestHeader.maximumBytes) are allowed: split the"
                    + " layer"
            )
        }
        let sealed = seal(plain, body: body, keys: keys)
        return (ManifestID(sealed.withUnsafeReadableBytes { SHA256Digest(hashing: $0) }), sealed)
    }

    /// The plain part and the decrypted body.
    static func open(
        _ sealed: ByteBuffer, expecting id: ManifestID, keys: TenantKeys
    ) throws -> (header: ManifestHeader, body: ByteBuffer) {
        try sealed.withUnsafeReadableBytes { bytes in
            let (header, plainBytes) = try ManifestHeader.parse(bytes, expecting: id)
            guard header.tenantKeyID == keys.id else { throw wrongKey("manifest \(id)", keys) }
            return (header, try open(bytes, plainBytes: plainBytes, what: "manifest \(id)", keys: keys))
        }
    }

    // MARK: Any record

    /// The bytes of a sealed record.
    static func byteCount(plain: Int, body: Int) -> Int { plain + wrappedBytes + body + AES256GCM.overhead }

    /// Seals a body behind its plain part.
    static func seal(_ plain: ByteBuffer, body: ByteBuffer, keys: TenantKeys) -> ByteBuffer {
        var sealed = plain
        sealed.reserveCapacity(byteCount(plain: plain.readableBytes, body: body.readableBytes))
        let dataKey = SecureRandom.key()
        dataKey.withUnsafeBytes { sealed.writeBox(of: $0, key: keys.wrapKey) }
        body.withUnsafeReadableBytes { sealed.writeBox(of: $0, key: dataKey) }
        return sealed
    }

    /// The decrypted body of a record whose plain part has `plainBytes`.
    /// - Parameter what: names the record in errors.
    static func open(
        _ bytes: UnsafeRawBufferPointer, plainBytes: Int, what: String, keys: TenantKeys
    ) throws -> ByteBuffer {
        var reader = RecordReader(bytes, what: what)
        let plain = try reader.take(plainBytes)
        let wrapped = try reader.take(wrappedBytes)
        let associated = UnsafeRawBufferPointer(rebasing: bytes[..<reader.offset])
        let box = try reader.take(reader.remaining)
        let dataKey = Key256(writtenBy: {
            AES256GCM.open(wrapped, key: keys.wrapKey, associated: plain, into: $0)
        })
        guard let dataKey, box.count >= AES256GCM.overhead else {
            throw reader.malformed("the authentication tag of its key is wrong")
        }
        var body = ByteBufferAllocator().buffer(capacity: box.count)
        let opened = body.withUnsafeMutableWritableBytes {
            AES256GCM.open(box, key: dataKey, associated: associated, into: $0)
        }
        guard opened else { throw reader.malformed("the authentication tag of its body is wrong") }
        body.moveWriterIndex(forwardBy: box.count - AES256GCM.overhead)
        return body
    }

    /// The error for a record that another key of the tenant has sealed.
    static func wrongKey(_ what: String, _ keys: TenantKeys) -> CacheError {
        CacheError(
            .key,
            "this keyring's key for tenant \(keys.tenant) does not open \(what): use the keyring with which it was"
                + " pushed"
        )
    }
}

extension ByteBuffer {
    /// Appends a box that authenticates all that is here already.
    fileprivate mutating func writeBox(of plain: UnsafeRawBufferPointer, key: Key256) {
        let count = readableBytes
        let boxBytes = plain.count + AES256GCM.overhead
        reserveCapacity(minimumWritableBytes: boxBytes)
        // One closure must see both what is written and what is to come.
        moveWriterIndex(forwardBy: boxBytes)
        withUnsafeMutableReadableBytes { bytes in
            AES256GCM.seal(
                plain, key: key, associated: UnsafeRawBufferPointer(rebasing: bytes[..<count]),
                into: UnsafeMutableRawBufferPointer(rebasing: bytes[count...]))
        }
    }
}
