internal import CacheCrypto

/// The sealed bytes of a chunk as they lie in the data file, unverified. Valid while the transaction that found it is.
struct SealedExtents {
    /// The file ends before the chunk does, or the disk cannot read it.
    struct Unreadable: Error {}

    let pieces: [UnsafeRawBufferPointer]
    private let file: ExtentFile
    let byteCount: Int

    init(_ pieces: [UnsafeRawBufferPointer], in file: ExtentFile) {
        self.pieces = pieces
        self.file = file
        byteCount = pieces.reduce(0) { $0 + $1.count }
    }

    /// Copies all of it to the beginning of `memory`, which has room for ``byteCount``. Blocks.
    func copy(to memory: UnsafeMutableRawBufferPointer) throws(Unreadable) {
        precondition(memory.count >= byteCount, "there must be room for the sealed chunk")
        try file.copy(self, to: memory)
    }

    /// SHA-256 of it, read without a trace: what nobody had read lately is not in the page cache afterwards. Blocks.
    func hash() throws(Unreadable) -> SHA256Digest {
        let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: byteCount, alignment: 64)
        defer { memory.deallocate() }
        try file.copy(self, to: memory, staysCached: false)
        return SHA256Digest(hashing: UnsafeRawBufferPointer(memory))
    }
}
