internal import CLinux
internal import Glibc

// Room on the disk, and reading ahead.
extension Descriptor {
    /// Sets room on the disk aside for a range of the file, `fallocate(2)`: fails where the filesystem has no such
    /// thing.
    ///
    /// - Parameter keepingSize: the file stays as long as it is, even where the range goes beyond its end.
    package func reserve(_ range: Range<Int>, keepingSize: Bool = false) throws(Errno) {
        let mode = keepingSize ? FALLOC_FL_KEEP_SIZE : 0
        guard fallocate(rawValue, mode, off_t(range.lowerBound), off_t(range.count)) == 0 else { throw Errno.current }
    }

    /// Gives the file `count` bytes of room from its start, `posix_fallocate(3)`: written out where the filesystem
    /// cannot set it aside.
    package func allocate(_ count: Int) throws(Errno) {
        let number = posix_fallocate(rawValue, 0, off_t(count))
        guard number == 0 else { throw Errno(rawValue: number) }
    }

    /// Asks the kernel to read a range soon, so that a cold disk works on many at once. A hint: nothing happens if it
    /// cannot be done.
    package func willNeed(_ range: Range<Int>) {
        posix_fadvise(rawValue, off_t(range.lowerBound), off_t(range.count), POSIX_FADV_WILLNEED)
    }

    /// Lets the kernel take a range out of the page cache, where nobody has it mapped or changed. A hint, too.
    package func willNotNeed(_ range: Range<Int>) {
        posix_fadvise(rawValue, off_t(range.lowerBound), off_t(range.count), POSIX_FADV_DONTNEED)
    }

    /// Whether the page cache has all pages of a range; `nil` if the kernel does not tell (before Linux 6.5, or where a
    /// sandbox forbids to ask). Half a microsecond for one page.
    package func isCached(_ range: Range<Int>) -> Bool? {
        let pages = layercache_cached_pages(rawValue, UInt64(range.lowerBound), UInt64(range.count))
        return pages < 0 ? nil : pages == (range.count + 4095) / 4096
    }
}
