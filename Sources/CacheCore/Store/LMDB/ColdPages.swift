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
        var run = 0..<0
        for piece in pieces {
            guard let pages = pages(of: piece) else { continue }
            if pages.lowerBound == run.upperBound, pages.upperBound - run.lowerBound <= Self.requestBytes {
                run = run.lowerBound..<pages.upperBound
            } else {
                request(run)
                run = pages
            }
        }
        request(run)
    }

    private func request(_ run: Range<Int>) {
        if !run.isEmpty { data.willNeed(run) }
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
