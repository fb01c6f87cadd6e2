internal import CacheBase
internal import CacheChunks
internal import CacheCrypto
public import CacheObjectStore
public import NIOCore

/// The state of a generation, as its object says: whether it takes new chunks, and its salt, which only a deployment
/// key opens.
public struct GenerationState: Sendable {
    /// The raw values are part of the format.
    public enum Status: UInt8, Sendable {
        /// Takes new chunks.
        case active = 1
        /// Takes none; what is still used is being copied to the active one.
        case retired = 2
        /// Not to be read from any more; about to be deleted.
        case expired = 3
    }

    public let generation: Generation
    public let status: Status
    /// When it was created, in milliseconds since 1970.
    public let createdAt: UInt64
    /// Which deployment key opens the salt.
    public let deploymentKeyID: KeyID

    static let byteCount = headerBytes + SHA256Digest.byteCount + AES256GCM.overhead
    private static let headerBytes = 40
    private static let magic: StaticString = "LCST"
    private static let version: UInt16 = 1

    /// The bytes of a state: 100, of which the last 60 are the salt, encrypted, and authenticated with all before it.
    static func seal(
        _ salt: GenerationSalt, generation: Generation, status: Status, createdAt: UInt64, key: DeploymentKey
    ) -> ByteBuffer {
        let header = header(generation, status, createdAt: createdAt, key)
        var buffer = header
        buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: byteCount - headerBytes) { box in
            header.withUnsafeReadableBytes { header in
                salt.secret.withUnsafeBytes {
                    AES256GCM.seal($0, key: key.wrapKey, associated: header, into: box)
                }
            }
            return byteCount - headerBytes
        }
        return buffer
    }

    private static let createdAtOffset = 16

    private static func header(
        _ generation: Generation, _ status: Status, createdAt: UInt64, _ key: DeploymentKey
    ) -> ByteBuffer {
        var buffer = ByteBuffer()
        buffer.writeMagic(magic, version: version)
        buffer.writeLittle(status.rawValue)
        buffer.writeZeros(1)
        buffer.writeLittle(generation.number)
        buffer.writeLittle(createdAt)
        buffer.writeKeyID(key.id)
        return buffer
    }

    /// Reads the plain part; whether it is genuine only ``openSalt(of:with:object:)`` can tell.
    public init(reading sealed: ByteBuffer, object: ObjectKey) throws {
        self = try sealed.withUnsafeReadableBytes { try Self.parse($0, object: object) }
    }

    private init(generation: Generation, status: Status, createdAt: UInt64, deploymentKeyID: KeyID) {
        self.generation = generation
        self.status = status
        self.createdAt = createdAt
        self.deploymentKeyID = deploymentKeyID
    }

    private static func parse(_ bytes: UnsafeRawBufferPointer, object: ObjectKey) throws -> GenerationState {
        var reader = RecordReader(bytes, what: "object \(object)")
        try reader.magic(magic, version: version)
        guard let status = Status(rawValue: try reader.integer()) else { throw reader.malformed("unknown status") }
        try reader.zeros(1)
        guard let generation = Generation(try reader.integer()), L3Layout.state(of: generation) == object else {
            throw reader.malformed("it is not of the generation that its name says")
        }
        let createdAt: UInt64 = try reader.integer()
        let keyID = try reader.keyID()
        _ = try reader.take(byteCount - headerBytes)
        try reader.end()
        return GenerationState(generation: generation, status: status, createdAt: createdAt, deploymentKeyID: keyID)
    }

    /// The salt.
    /// - Throws: `.key` if `key` is another deployment's, `.corrupt` if the object was changed.
    static func openSalt(of sealed: ByteBuffer, with key: DeploymentKey, object: ObjectKey) throws -> GenerationSalt {
        try sealed.withUnsafeReadableBytes { bytes in
            let state = try parse(bytes, object: object)
            guard state.deploymentKeyID == key.id else {
                throw CacheError(
                    .key,
                    "this keyring's deployment key does not open \(object), which was made with another: use a keyring"
                        + " that has the deployment key of this store (keygen can copy it)"
                )
            }
            let salt = Key256(writtenBy: {
                AES256GCM.open(
                    UnsafeRawBufferPointer(rebasing: bytes[headerBytes...]), key: key.wrapKey,
                    associated: UnsafeRawBufferPointer(rebasing: bytes[..<headerBytes]), into: $0)
            })
            guard let salt else {
                throw CacheError(
                    .corrupt,
                    "object \(object) is damaged, its authentication tag is wrong: restore it from a backup, or push"
                        + " with --repair"
                )
            }
            return GenerationSalt(salt)
        }
    }

    /// The state as it was before it was damaged; `nil` if the damage is in the time of creation, or in the sealed
    /// salt.
    ///
    /// The rest of the plain part is known from elsewhere, but for the status, of which all three are tried.
    /// The authentication tag of the salt covers the plain part, so a candidate that opens is right for certain.
    static func restored(_ damaged: ByteBuffer, _ generation: Generation, key: DeploymentKey) -> ByteBuffer? {
        let start = damaged.readerIndex
        guard
            let createdAt = damaged.getInteger(at: start + createdAtOffset, endianness: .little, as: UInt64.self),
            let box = damaged.getSlice(at: start + headerBytes, length: byteCount - headerBytes)
        else { return nil }
        for status in [Status.active, .retired, .expired] {
            var candidate = header(generation, status, createdAt: createdAt, key)
            candidate.writeImmutableBuffer(box)
            let object = L3Layout.state(of: generation)
            // The only possible failure is a wrong tag, which says that the status was another one.
            if (try? openSalt(of: candidate, with: key, object: object)) != nil { return candidate }
        }
        return nil
    }
}
