internal import CacheCrypto
internal import CacheFiles

/// The sealed bytes of a chunk as they lie in the data file, unverified. Valid while the transaction that found it is.
struct SealedExtents {
    /// The file ends before the chunk does, or the disk cannot read it.
    struct Unreadable: Error {}

    fileprivate let pieces: [UnsafeRawBufferPointer]
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

/// The data file, of which the extents of chunks are read, not mapped: one call for extents that are neighbours, where
/// a map costs a page fault for each 64 KiB and another call to bound the resident memory.
struct ExtentFile {
    private let data: Descriptor
    private let mapAddress: UInt
    private let cold: ColdPages

    /// Extents that follow one another in the file, with the header of a page before each.
    private struct Run {
        let offset: Int
        var end: Int
        var places: [UnsafeMutableRawBufferPointer]
    }

    /// To be used while the environment is open.
    init(_ environment: Environment) throws(LMDBFailure) {
        data = try environment.dataDescriptor()
        mapAddress = environment.mapAddress
        cold = ColdPages(data)
    }

    fileprivate func copy(
        _ chunk: SealedExtents, to memory: UnsafeMutableRawBufferPointer, staysCached: Bool = true
    ) throws(SealedExtents.Unreadable) {
        var runs: [Run] = []
        var position = 0
        // The headers between extents go nowhere.
        try withUnsafeTemporaryAllocation(
            byteCount: StoreLayout.overflowHeaderBytes, alignment: 8
        ) { header throws(SealedExtents.Unreadable) in
            for piece in chunk.pieces {
                let place = UnsafeMutableRawBufferPointer(rebasing: memory[position..<position + piece.count])
                position += piece.count
                guard let offset = offset(of: piece) else {
                    // A tail lies in a page of the index, which was just read.
                    place.copyMemory(from: piece)
                    continue
                }
                if let last = runs.indices.last, runs[last].end + header.count == offset {
                    runs[last].places.append(header)
                    runs[last].places.append(place)
                    runs[last].end = offset + piece.count
                } else {
                    runs.append(Run(offset: offset, end: offset + piece.count, places: [place]))
                }
            }
            if let first = runs.firstIndex(where: { !read($0, onlyCached: true) }) {
                let ranges = runs[first...].map { $0.offset..<$0.end }
                cold.request(ranges)
                defer {
                    if !staysCached { for range in ranges { data.willNotNeed(range) } }
                }
                for run in runs[first...] where !read(run, onlyCached: false) { throw SealedExtents.Unreadable() }
            }
        }
    }

    /// Where in the file an extent begins; `nil` for a tail.
    private func offset(of piece: UnsafeRawBufferPointer) -> Int? {
        let offset = Int(bitPattern: UInt(bitPattern: piece.baseAddress) &- mapAddress)
        // In a leaf there are pointers where the bytes of an extent begin in its first page.
        let page = offset - StoreLayout.overflowHeaderBytes
        return page > 0 && page % StoreLayout.pageBytes == 0 ? offset : nil
    }

    /// Whether all of a run could be read.
    private func read(_ run: Run, onlyCached: Bool) -> Bool {
        let count = try? run.places.withUnsafeBufferPointer { places throws(Errno) in
            try data.read(scattering: places, at: run.offset, onlyCached: onlyCached)
        }
        return count == run.end - run.offset
    }
}
