internal import CacheLayers

/// The index of a sparse file, given out piece by piece: the block of each chunk.
struct ErofsChunkIndex: Sendable {
    /// Runs of chunks in which something is stored.
    private var runs: [Range<UInt64>] = []
    private let count: UInt64
    private let blocksPerChunk: UInt32
    private var chunk: UInt64 = 0
    private var run = 0
    private var block: UInt32

    init(_ file: ErofsSparseFile, of tree: ImageTree) {
        let inode = tree[inode: Int(file.inode)]
        let bits = UInt64(file.chunkBits)
        count = ErofsSparseFile.chunkCount(inode.size, Int(bits))
        blocksPerChunk = 1 << UInt32(Int(bits) - ErofsFormat.blockBits)
        block = file.firstBlock
        var runs: [Range<UInt64>] = []
        ErofsSparseFile.forEachSegment(of: inode, in: tree) { offset, length, _ in
            let (from, end) = (offset >> bits, (offset + length - 1) >> bits + 1)
            if let last = runs.last, from <= last.upperBound {
                runs[runs.count - 1] = last.lowerBound..<end
            } else {
                runs.append(from..<end)
            }
        }
        self.runs = runs
    }

    /// Appends some more; `false` at the end.
    mutating func append(to bytes: inout [UInt8]) -> Bool {
        let end = min(count, chunk + 4096)
        while chunk < end {
            if run < runs.count, runs[run].contains(chunk) {
                bytes.append(number: block)
                // The last chunk of a file may end with the device.
                block &+= blocksPerChunk
                if chunk + 1 == runs[run].upperBound { run += 1 }
            } else {
                bytes.append(number: ErofsFormat.hole)
            }
            chunk += 1
        }
        return chunk < count
    }
}
