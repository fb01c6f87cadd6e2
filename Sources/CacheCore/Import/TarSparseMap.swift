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

    /// Takes the map of format 1.0 from the front of the content: decimal numbers, one a line, their count first, filled up to a block.
    /// - Returns: the segments and the bytes that the map took.
    static func readText(
        _ headers: inout TarExtendedHeaders, stored: UInt64, _ input: SplitterInput, _ output: inout LayerWriter
    ) throws -> (segments: [LayerEntry.Segment], bytes: UInt64) {
        var numbers: [UInt64] = []
        var line: [UInt8] = []
        var taken: UInt64 = 0
        // The count, then two numbers for each segment.
        while numbers.isEmpty || UInt64(numbers.count - 1) / 2 < numbers[0] {
            guard taken + UInt64(TarBlock.byteCount) <= stored else {
                throw TarFault("a sparse map longer than its content")
            }
            let block = try headers.metadataBlock(input, &output)
            taken += UInt64(block.count)
            for byte in block {
                if byte != 0x0A {
                    line.append(byte)
                    continue
                }
                guard let (number, digits) = line.withUnsafeBytes({ TarDecimal.parse($0, end: nil) }),
                    digits == line.count,
                    number <= UInt64(TarNumber.largestSize)
                else { throw TarFault("a sparse map with a malformed number") }
                numbers.append(number)
                line.removeAll(keepingCapacity: true)
                if UInt64(numbers.count - 1) / 2 == numbers[0], numbers.count % 2 == 1 { break }
            }
        }
        let segments = stride(from: 1, to: numbers.count, by: 2).map {
            LayerEntry.Segment(offset: numbers[$0], length: numbers[$0 + 1])
        }
        return (segments, taken)
    }
}
