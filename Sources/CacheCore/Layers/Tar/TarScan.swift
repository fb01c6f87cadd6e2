internal import CacheBase
package import CacheFiles

/// The entries of a tar in a file, one after the other; what it holds of their contents is passed over, not read.
package struct TarScan {
    package struct Found {
        package let entry: LayerEntry
        /// Where its first header is, extended ones included.
        package let header: Int
        /// Where its content is.
        package let content: Int
    }

    private let range: FileRange
    private var reader: TarReader
    private var position: Int
    private var block = [UInt8](repeating: 0, count: TarBlock.byteCount)

    /// - Parameter position: where an entry begins.
    package init(_ range: FileRange, from position: Int = 0, limits: LayerLimits) {
        self.range = range
        self.position = position
        reader = TarReader(limits: limits)
    }

    /// The next file, directory, link or device; `nil` at the end.
    package mutating func next() throws -> Found? {
        do {
            while true {
                let header = position
                guard let tarEntry = try nextEntry() else { return nil }
                let content = position
                try pass(tarEntry, header)
                if let entry = tarEntry.entry { return Found(entry: entry, header: header, content: content) }
            }
        } catch let error as CacheError {
            throw CacheError(error.code, "\(range.file.name): \(error.message)")
        }
    }

    /// Reads blocks up to the end of an entry's headers.
    private mutating func nextEntry() throws -> TarEntry? {
        while true {
            let offset = UInt64(position)
            let count = try fill(at: position)
            let step: TarReader.Step? = try block.withUnsafeBytes { bytes in
                if count == bytes.count { return try reader.take(bytes, at: offset) }
                try reader.checkEnd(unmarked: UnsafeRawBufferPointer(rebasing: bytes[..<count]), at: offset)
                return nil
            }
            switch step {
            case nil: return nil
            case .zeros:
                let following = try fill(at: position + block.count)
                try block.withUnsafeBytes {
                    try reader.checkEnd(UnsafeRawBufferPointer(rebasing: $0[..<following]), at: offset)
                }
                return nil
            case .described: position += block.count
            case .entry(let entry, _):
                position += block.count
                return entry
            }
        }
    }

    /// Passes over a content and what fills its last block.
    private mutating func pass(_ entry: TarEntry, _ header: Int) throws {
        guard entry.stored <= UInt64(range.size - position) else {
            throw reader.error(TarFault("the archive ends inside its content"), entry.path, at: UInt64(header))
        }
        let blocks = (Int(entry.stored) + TarBlock.byteCount - 1) / TarBlock.byteCount
        guard blocks * TarBlock.byteCount <= range.size - position else {
            throw reader.error(TarFault("the archive ends inside its last block"), entry.path, at: UInt64(header))
        }
        position += blocks * TarBlock.byteCount
    }

    /// Reads a block; returns how much of it there is.
    private mutating func fill(at position: Int) throws -> Int {
        let wanted = min(block.count, max(range.size - position, 0))
        var filled = 0
        try block.withUnsafeMutableBytes { bytes in
            while filled < wanted {
                filled += try range.read(
                    into: UnsafeMutableRawBufferPointer(rebasing: bytes[filled..<wanted]), at: position + filled)
            }
        }
        return filled
    }
}
