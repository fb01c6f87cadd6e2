internal import CacheBase
internal import CacheChunks
internal import CacheCrypto
internal import CacheFiles

/// How far the scrub of a store is, kept in a small file beside it (docs/FORMAT.md, "Scrub"), so that a restart goes on
/// where it was. Nothing depends on the file: without it the pass begins anew.
struct ScrubPlace: Hashable, Sendable {
    /// The chunk that was looked at last, in the order of names; all zeros at the beginning.
    var last = ChunkID(.zero)
    /// When a pass was complete last, in seconds since 1970; 0 for never.
    var lastPass: UInt64 = 0

    private static let magic = "layercache-scrub"
    private static let version = "1"
    private static let kind = SmallFile.Kind("scrub file", maximumBytes: 256)

    static func path(in directory: String) -> String { "\(directory)/scrub" }

    init() {}

    /// - Returns: `nil` for what no version 1 has written.
    init?(_ text: String) {
        let fields = text.split(separator: " ")
        guard fields.count == 4, fields[0] == Self.magic, fields[1] == Self.version, let last = ChunkID(hex: fields[2]),
            fields[3].hasSuffix("\n"), let lastPass = UInt64(fields[3].dropLast())
        else { return nil }
        self.last = last
        self.lastPass = lastPass
    }

    var text: String { "\(Self.magic) \(Self.version) \(last.hex) \(lastPass)\n" }

    /// The place that the file has; the beginning if there is none, or it is damaged. Blocks.
    /// - Throws: if it cannot be read, or is another version's: then it must not be replaced.
    static func read(in directory: String) throws -> ScrubPlace {
        guard let file = try SmallFile.read(path(in: directory), kind) else { return ScrubPlace() }
        let text = String(decoding: file.bytes, as: UTF8.self)
        let fields = text.split(separator: " ")
        if fields.first == magic[...], fields.count > 1, let other = Int(fields[1]), (2...255).contains(other) {
            throw CacheError(.unsupported, "\(path(in: directory)) was made by a newer layercache")
        }
        return ScrubPlace(text) ?? ScrubPlace()
    }

    /// Blocks, but not until it is on the disk.
    func write(in directory: String) throws {
        try DurableFile.write(Array(text.utf8), to: Self.path(in: directory), outliving: .process)
    }

    /// The share of the names that lies behind it, from 0 to 1. Names are hashes, so it is that of the chunks, too.
    var share: Double {
        let first = last.digest.withUnsafeBytes { $0.loadUnaligned(as: UInt64.self).byteSwapped }
        return Double(first) / 0x1p64
    }
}
