internal import CacheObjectStore
internal import NIOCore

/// What a reference names: a manifest of an image, in a generation.
public struct RefRecord: Hashable, Sendable {
    public let generation: Generation
    public let manifest: ManifestID
    /// When it was set, in milliseconds since 1970.
    public let setAt: UInt64

    static let maximumBytes = 4096
    private static let magic: StaticString = "LCRF"
    private static let version: UInt16 = 1

    public init(generation: Generation, manifest: ManifestID, setAt: UInt64) {
        self.generation = generation
        self.manifest = manifest
        self.setAt = setAt
    }

    /// 64 bytes (docs/FORMAT.md, "Ref").
    func encoded() -> ByteBuffer {
        var buffer = ByteBuffer()
        buffer.writeMagic(Self.magic, version: Self.version)
        buffer.writeZeros(2)
        buffer.writeLittle(generation.number)
        buffer.writeDigest(manifest.digest)
        buffer.writeLittle(setAt)
        buffer.writeChecksum()
        return buffer
    }

    /// How many bytes of a record ``newerVersion(_:)`` needs: magic and version.
    static let versionedBytes = 6

    /// The version of a record that begins with `start`, if it is one that this build does not know yet.
    static func newerVersion(_ start: ByteBuffer) -> UInt16? {
        var start = start
        guard start.readString(length: 4) == "\(magic)",
            let number: UInt16 = start.readInteger(endianness: .little), number > version
        else { return nil }
        return number
    }

    init(decoding record: ByteBuffer, object: ObjectKey) throws {
        self = try record.withUnsafeReadableBytes { bytes in
            let what = "object \(object)"
            var reader = RecordReader(bytes, what: what)
            try reader.magic(Self.magic, version: Self.version)
            try RecordReader.verifyChecksum(of: bytes, what: what)
            try reader.zeros(2)
            guard let generation = Generation(try reader.integer()) else {
                throw reader.malformed("no generation has that number")
            }
            let manifest = ManifestID(try reader.digest())
            let setAt: UInt64 = try reader.integer()
            _ = try reader.take(RecordReader.checksumBytes)
            try reader.end()
            return RefRecord(generation: generation, manifest: manifest, setAt: setAt)
        }
    }
}
