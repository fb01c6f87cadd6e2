internal import CacheBase
package import CacheFiles

/// Stops a source that yields more than a layer may have, or more than came out of so few bytes honestly: a
/// decompression bomb.
package final class LimitedSource: ByteSource {
    private static let block = 4096

    private let source: any ByteSource
    private let name: String
    private let limit: ExpansionLimit
    /// The most bytes that are not in blocks of zeros; `nil` for what is not compressed.
    private let expanded: Int?
    private var total = 0
    private var zeros = 0

    /// - Parameter compressedSize: what `source` is unpacked from, where that is known and counts.
    package init(_ source: any ByteSource, name: String, limit: ExpansionLimit, compressedSize: Int? = nil) {
        self.source = source
        self.name = name
        self.limit = limit
        expanded = compressedSize.map { limit.uncompressedBytes(from: $0) }
    }

    package func read(into buffer: UnsafeMutableRawBufferPointer) throws -> Int {
        let count = try source.read(into: buffer)
        total += count
        guard total <= limit.bytes else {
            throw Limit.layerBytes.exceeded("\(name) has more than \(Limit.layerBytes.text(limit.bytes))")
        }
        if let expanded {
            zeros += Self.zeros(in: UnsafeRawBufferPointer(rebasing: buffer[..<count]))
            guard total - zeros <= expanded else {
                throw Limit.expansion.exceeded(
                    "\(name) expands to more than \(limit.factor) times its size: a decompression bomb?")
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
