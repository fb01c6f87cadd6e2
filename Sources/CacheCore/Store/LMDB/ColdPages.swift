internal import CacheBase
internal import CacheCrypto
internal import CacheFiles

/// Has the kernel read all pages of a chunk at once, before the first of them is touched.
///
/// The map has no read-ahead (``Environment``), so each page that is not in the page cache would be a read of its own
/// when it is touched, one after the other: 86 for 344 KiB, 4.3 ms where all at once take 0.33 ms
/// (docs/decisions/0020-cold-chunks-are-read-at-once.md).
///
/// Nothing depends on it: what the kernel does not read now, because it has no memory or the filesystem cannot, is read
/// when it is touched.
struct ColdPages {
    /// The most that is asked for at once: the default read-ahead of Linux, above which a device may take no more of a
    /// request. Also lets the device begin while the kernel finds memory for the rest.
    private static let requestBytes = 128 << 10

    private let data: Descriptor
    private let mapAddress: UInt

    /// To be used while the environment is open.
    init(_ environment: Environment) throws(LMDBFailure) {
        data = try environment.dataDescriptor()
        mapAddress = environment.mapAddress
    }

    /// Asks for the pages of a chunk's pieces; does not wait for them. One system call for 128 KiB of pages that are
    /// neighbours: a few microseconds for a chunk that is in the page cache.
    func request(_ pieces: [UnsafeRawBufferPointer]) {
        for run in runs(pieces) { data.willNeed(run) }
    }

    /// The pages of the pieces, as ranges of the file of at most ``requestBytes``.
    private func runs(_ pieces: [UnsafeRawBufferPointer]) -> [Range<Int>] {
        var runs: [Range<Int>] = []
        for piece in pieces {
            guard let pages = pages(of: piece) else { continue }
            if let run = runs.last, pages.lowerBound == run.upperBound,
                pages.upperBound - run.lowerBound <= Self.requestBytes
            {
                runs[runs.count - 1] = run.lowerBound..<pages.upperBound
            } else {
                runs.append(pages)
            }
        }
        return runs
    }

    /// The hash of a chunk's pieces, read past the map, so that they count as no memory of this process, and leaving
    /// the page cache as it was: what nobody had read lately goes out again. `nil` if the disk does not give them.
    func hash(_ pieces: [UnsafeRawBufferPointer]) -> SHA256Digest? {
        let cold = runs(pieces).filter { !MappedMemory.isCached(mapAddress + UInt($0.lowerBound)) }
        for run in cold { data.willNeed(run) }
        defer { for run in cold { data.willNotNeed(run) } }
        let space = UnsafeMutableRawBufferPointer.allocate(
            byteCount: pieces.reduce(0) { max($0, $1.count) }, alignment: 64)
        defer { space.deallocate() }
        var hash = SHA256Stream()
        for piece in pieces {
            guard let pages = pages(of: piece) else {
                hash.update(piece)
                continue
            }
            let part = UnsafeMutableRawBufferPointer(rebasing: space[..<piece.count])
            let start = pages.lowerBound + StoreLayout.overflowHeaderBytes
            do throws(Errno) {
                guard try data.readAll(into: part, at: start) == part.count else { return nil }
            } catch {
                return nil
            }
            hash.update(UnsafeRawBufferPointer(part))
        }
        return hash.finish()
    }

    /// Where in the file the pages of an extent are; `nil` for a tail, which lies in a page that was just read.
    private func pages(of piece: UnsafeRawBufferPointer) -> Range<Int>? {
        let start = Int(bitPattern: UInt(bitPattern: piece.baseAddress) &- mapAddress) - StoreLayout.overflowHeaderBytes
        // In a leaf there are pointers where the bytes of an extent begin in its first page.
        guard start > 0, start % StoreLayout.pageBytes == 0 else { return nil }
        let pages = (StoreLayout.overflowHeaderBytes + piece.count - 1) / StoreLayout.pageBytes + 1
        return start..<start + pages * StoreLayout.pageBytes
    }
}
