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
    /// `source` uncompressed, whatever it is compressed with; what comes out is held to `limits`.
    ///
    /// - Parameters:
    ///   - source: read from here on by the result only.
    ///   - name: what messages call it.
    ///   - compressedSize: its length, `nil` where that cannot be known.
    package static func decompress(
        _ source: any ByteSource, name: String, compressedSize: Int?, limits: ImportLimits
    ) throws -> any ByteSource {
        var head = [UInt8](repeating: 0, count: CompressionFormat.magicLength)
        let filled = try head.withUnsafeMutableBytes { try source.fill($0) }
        head.removeLast(head.count - filled)
        let format = head.withUnsafeBytes { CompressionFormat(magic: $0) }
        let whole = PrefixedSource(prefix: head, then: source)
        switch format {
        case .none:
            return LimitedSource(whole, name: name, limit: limits.layerBytes)
        case .gzip:
            let limit = limits.uncompressedBytes(from: compressedSize)
            return LimitedSource(GzipByteSource(whole, name: name), name: name, limit: limit)
        case .zstd:
            let limit = limits.uncompressedBytes(from: compressedSize)
            return LimitedSource(try ZstdByteSource(whole, name: name), name: name, limit: limit)
        }
    }
}

extension ByteSource {
    /// Reads until `buffer` is full or the source has ended; returns how many bytes there are.
    package func fill(_ buffer: UnsafeMutableRawBufferPointer) throws -> Int {
        var filled = 0
        while filled < buffer.count {
            let count = try read(into: UnsafeMutableRawBufferPointer(rebasing: buffer[filled...]))
            if count == 0 { break }
            filled += count
        }
        return filled
    }
}

/// Bytes that were looked at already, and then the rest of the source that they came from.
package final class PrefixedSource: ByteSource {
    private var prefix: ArraySlice<UInt8>
    private let rest: any ByteSource

    package init(prefix: [UInt8], then rest: any ByteSource) {
        self.prefix = prefix[...]
        self.rest = rest
    }

    package func read(into buffer: UnsafeMutableRawBufferPointer) throws -> Int {
        guard !prefix.isEmpty else { return try rest.read(into: buffer) }
        let count = min(prefix.count, buffer.count)
        buffer.copyBytes(from: prefix.prefix(count))
        prefix = prefix.dropFirst(count)
        return count
    }
}

/// Stops a source that yields more than it may: a decompression bomb.
package final class LimitedSource: ByteSource {
    private let source: any ByteSource
    private let name: String
    private let limit: Int
    private var total = 0

    package init(_ source: any ByteSource, name: String, limit: Int) {
        self.source = source
        self.name = name
        self.limit = limit
    }

    package func read(into buffer: UnsafeMutableRawBufferPointer) throws -> Int {
        let count = try source.read(into: buffer)
        total += count
        guard total <= limit else {
            throw CacheError(
                .limitExceeded,
                "\(name) expands to more than the \(limit) bytes that its size allows: a decompression bomb?")
        }
        return count
    }
}
