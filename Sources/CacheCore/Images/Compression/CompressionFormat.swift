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
            return LimitedSource(whole, name: name, limits: limits)
        case .gzip:
            return LimitedSource(
                GzipByteSource(whole, name: name), name: name, limits: limits, compressedSize: compressedSize)
        case .zstd:
            return LimitedSource(
                try ZstdByteSource(whole, name: name, window: limits.zstdWindow), name: name, limits: limits,
                compressedSize: compressedSize)
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

/// Stops a source that yields more than a layer may have, or more than came out of so few bytes honestly: a decompression bomb.
package final class LimitedSource: ByteSource {
    private static let block = 4096

    private let source: any ByteSource
    private let name: String
    private let limits: ImportLimits
    /// The most bytes that are not in blocks of zeros; `nil` for what is not compressed.
    private let expanded: Int?
    private var total = 0
    private var zeros = 0

    /// - Parameter compressedSize: what `source` is unpacked from, where that is known and counts.
    package init(_ source: any ByteSource, name: String, limits: ImportLimits, compressedSize: Int? = nil) {
        self.source = source
        self.name = name
        self.limits = limits
        expanded = compressedSize.map { limits.uncompressedBytes(from: $0) }
    }

    package func read(into buffer: UnsafeMutableRawBufferPointer) throws -> Int {
        let count = try source.read(into: buffer)
        total += count
        guard total <= limits.layerBytes else {
            throw Limit.layerBytes.exceeded("\(name) has more than \(Limit.layerBytes.text(limits.layerBytes))")
        }
        if let expanded {
            zeros += Self.zeros(in: UnsafeRawBufferPointer(rebasing: buffer[..<count]))
            guard total - zeros <= expanded else {
                throw Limit.expansion.exceeded(
                    "\(name) expands to more than \(limits.expansionFactor) times its size: a decompression bomb?")
            }
        }
        return count
    }

    /// Bytes in blocks of nothing but zeros. Costs a look at one word of each other block.
    private static func zeros(in bytes: UnsafeRawBufferPointer) -> Int {
        var zeros = 0
        for start in stride(from: 0, to: bytes.count, by: block) {
            let piece = UnsafeRawBufferPointer(rebasing: bytes[start..<min(start + block, bytes.count)])
            if piece.isAllZero { zeros += piece.count }
        }
        return zeros
    }
}
