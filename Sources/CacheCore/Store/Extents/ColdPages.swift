internal import CacheFiles

/// Has the kernel read all pages of a chunk at once, before the first of them is waited for.
///
/// A read of many extents waits for the device once for each read-ahead of the kernel, and a touch of the map for each
/// page: 86 for 344 KiB, 4.3 ms where all at once take 0.33 ms (docs/decisions/0020-cold-chunks-are-read-at-once.md).
///
/// Nothing depends on it: what the kernel does not read now, because it has no memory or the filesystem cannot, is read
/// when it is used.
struct ColdPages {
    /// The most that is asked for at once: the default read-ahead of Linux, above which a device may take no more of a
    /// request. Also lets the device begin while the kernel finds memory for the rest.
    private static let requestBytes = 128 << 10

    private let data: Descriptor

    init(_ data: Descriptor) { self.data = data }

    /// Asks for ranges of the file; does not wait for them.
    func request(_ ranges: some Sequence<Range<Int>>) {
        for range in ranges {
            for start in stride(from: range.lowerBound, to: range.upperBound, by: Self.requestBytes) {
                data.willNeed(start..<min(start + Self.requestBytes, range.upperBound))
            }
        }
    }
}
