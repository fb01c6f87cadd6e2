package import CacheFiles

/// How a stream is compressed, told by its first bytes: media types and file names lie.
package enum CompressionFormat: Sendable {
    case none
    case gzip
    case zstd

    /// How many first bytes `init(magic:)` needs.
    package static let magicLength = 4

    package init(magic: UnsafeRawBufferPointer) {
        if magic.count >= 2, magic[0] == 0x1f, magic[1] == 0x8b {
            self = .gzip
            return
        }
        guard magic.count >= 4 else {
            self = .none
            return
        }
        let word = UInt32(littleEndian: magic.loadUnaligned(as: UInt32.self))
        // RFC 8878: a frame, or a skippable frame, with which some writers begin.
        self = word == 0xFD2F_B528 || word & 0xFFFF_FFF0 == 0x184D_2A50 ? .zstd : .none
    }
}

extension CompressionFormat {
    /// `source` uncompressed, whatever it is compressed with; what comes out is held to `limit`.
    ///
    /// - Parameters:
    ///   - source: read from here on by the result only.
    ///   - name: what messages call it.
    ///   - compressedSize: its length, `nil` where that cannot be known.
    package static func decompress(
        _ source: any ByteSource, name: String, compressedSize: Int?, limit: ExpansionLimit
    ) throws -> any ByteSource {
        var head = [UInt8](repeating: 0, count: CompressionFormat.magicLength)
        let filled = try head.withUnsafeMutableBytes { try source.fill($0) }
        head.removeLast(head.count - filled)
        let format = head.withUnsafeBytes { CompressionFormat(magic: $0) }
        let whole = PrefixedSource(prefix: head, then: source)
        switch format {
        case .none:
            return LimitedSource(whole, name: name, limit: limit)
        case .gzip:
            return LimitedSource(
                GzipByteSource(whole, name: name), name: name, limit: limit, compressedSize: compressedSize)
        case .zstd:
            return LimitedSource(
                try ZstdByteSource(whole, name: name, window: limit.zstdWindow), name: name, limit: limit,
                compressedSize: compressedSize)
        }
    }
}
