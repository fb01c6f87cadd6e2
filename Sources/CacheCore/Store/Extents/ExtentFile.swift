internal import CacheFiles

/// The data file, of which the extents of chunks are read, not mapped: one call for extents that are neighbours, where
/// a map costs a page fault for each 64 KiB and another call to bound the resident memory.
///
/// What the page cache has is copied from there. Of the rest, a chunk that nobody has read lately goes past it
/// (``UncachedReads``), and all else has its pages asked for at once (``ColdPages``).
struct ExtentFile {
    private let data: Descriptor
    private let mapAddress: UInt
    private let cold: ColdPages
    /// Not there where the filesystem or the kernel cannot.
    private let uncached: UncachedReads?

    /// To be used while the environment is open.
    init(_ environment: Environment) throws(LMDBFailure) {
        data = try environment.dataDescriptor()
        mapAddress = environment.mapAddress
        cold = ColdPages(data)
        uncached = UncachedReads(data)
    }

    /// See ``SealedExtents/copy(to:)``.
    /// - Parameter staysCached: whether the page cache may have all of it afterwards.
    func copy(
        _ chunk: SealedExtents, to memory: UnsafeMutableRawBufferPointer, staysCached: Bool = true
    ) throws(SealedExtents.Unreadable) {
        // The headers between extents go nowhere.
        try withUnsafeTemporaryAllocation(
            byteCount: StoreLayout.overflowHeaderBytes, alignment: 8
        ) { header throws(SealedExtents.Unreadable) in
            let runs = runs(of: chunk, in: memory, header: header)
            if let uncached, uncached.read(runs, evenIfKnown: !staysCached) { return }
            guard let first = runs.firstIndex(where: { !read($0, onlyCached: true) }) else { return }
            let ranges = runs[first...].map { $0.offset..<$0.end }
            cold.request(ranges)
            defer {
                if !staysCached { for range in ranges { data.willNotNeed(range) } }
            }
            for run in runs[first...] where !read(run, onlyCached: false) { throw SealedExtents.Unreadable() }
        }
    }

    /// Where the bytes of a chunk are to be read from, and to. Its tail is copied now.
    private func runs(
        of chunk: SealedExtents, in memory: UnsafeMutableRawBufferPointer, header: UnsafeMutableRawBufferPointer
    ) -> [ExtentRun] {
        var runs: [ExtentRun] = []
        var position = 0
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
                runs.append(ExtentRun(offset: offset, end: offset + piece.count, places: [place]))
            }
        }
        return runs
    }

    /// Where in the file an extent begins; `nil` for a tail.
    private func offset(of piece: UnsafeRawBufferPointer) -> Int? {
        let offset = Int(bitPattern: UInt(bitPattern: piece.baseAddress) &- mapAddress)
        // In a leaf there are pointers where the bytes of an extent begin in its first page.
        let page = offset - StoreLayout.overflowHeaderBytes
        return page > 0 && page % StoreLayout.pageBytes == 0 ? offset : nil
    }

    /// Whether all of a run could be read.
    private func read(_ run: ExtentRun, onlyCached: Bool) -> Bool {
        let count = try? run.places.withUnsafeBufferPointer { places throws(Errno) in
            try data.read(scattering: places, at: run.offset, onlyCached: onlyCached)
        }
        return count == run.end - run.offset
    }
}

/// Extents that follow one another in the file, with the header of a page before each.
struct ExtentRun {
    /// Where the bytes of the first begin, behind its header, and where those of the last end.
    let offset: Int
    var end: Int
    /// Where the bytes go, those of the headers between them, too.
    var places: [UnsafeMutableRawBufferPointer]

    /// The whole pages of all of it.
    var pages: Range<Int> {
        let page = StoreLayout.pageBytes
        return (offset - StoreLayout.overflowHeaderBytes)..<(end + page - 1) / page * page
    }
}
