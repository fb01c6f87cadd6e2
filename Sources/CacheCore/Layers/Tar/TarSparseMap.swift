/// The segments of a sparse file, from any of GNU's four formats.
struct TarSparseMap {
    /// Bytes of the file as its readers see it.
    let size: UInt64
    let segments: [LayerEntry.Segment]

    /// - Parameter stored: bytes that the archive holds of the file.
    /// - Throws: if the segments overlap, leave the file, or are not what is stored.
    init(size: UInt64, segments all: [LayerEntry.Segment], stored: UInt64) throws {
        var end: UInt64 = 0
        var sum: UInt64 = 0
        for segment in all {
            // Sizes are below 2^60: no sum of two overflows.
            guard segment.offset >= end, segment.offset + segment.length <= size else {
                throw TarFault("a sparse map whose segments overlap or leave the file")
            }
            end = segment.offset + segment.length
            sum += segment.length
        }
        guard sum == stored else { throw TarFault("a sparse map of \(sum) bytes where \(stored) are stored") }
        self.size = size
        segments = all.filter { $0.length > 0 }
    }
}

/// Reads the map that format 1.0 puts before the data: decimal numbers, one a line, their count first, filled up to a
/// block.
struct TarSparseText {
    private var numbers: [UInt64] = []
    private var line: [UInt8] = []

    /// Takes the next block.
    /// - Returns: the segments, if the map is complete; `nil` if it goes on.
    mutating func take(_ block: UnsafeRawBufferPointer) throws -> [LayerEntry.Segment]? {
        for byte in block {
            if byte != 0x0A {
                line.append(byte)
                continue
            }
            guard let number = line.withUnsafeBytes(TarDecimal.parse), number >= 0, number <= TarNumber.largestSize
            else { throw TarFault("a sparse map with a malformed number") }
            numbers.append(UInt64(number))
            line.removeAll(keepingCapacity: true)
            // The count, then two numbers for each segment.
            if numbers.count % 2 == 1, UInt64(numbers.count / 2) == numbers[0] {
                return stride(from: 1, to: numbers.count, by: 2).map {
                    LayerEntry.Segment(offset: numbers[$0], length: numbers[$0 + 1])
                }
            }
        }
        return nil
    }
}
