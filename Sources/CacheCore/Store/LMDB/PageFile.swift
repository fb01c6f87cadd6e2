internal import Glibc

/// What is wrong with a store's data file, so that it cannot be used.
struct IndexDamage: Error {
    let reason: String
    /// Not damaged: a newer version of this program has written it.
    let isNewer: Bool
    /// The error number with which the disk failed to read it, so that nothing is known of it; `nil` if it was read.
    let failure: Int32?

    init(_ reason: String, isNewer: Bool = false, failure: Int32? = nil) {
        self.reason = reason
        self.isNewer = isNewer
        self.failure = failure
    }
}

/// Reads pages of a data file with `pread`: a file that is shorter than it says is an error here, where a map would kill the process.
struct PageFile {
    let descriptor: Int32

    func read(_ number: UInt64, into buffer: UnsafeMutableRawBufferPointer) throws(IndexDamage) {
        // Page numbers are below 2^32 (16 TiB) when they come here.
        let offset = off_t(truncatingIfNeeded: number &* UInt64(StoreLayout.pageBytes))
        var done = 0
        while done < buffer.count {
            guard let start = buffer.baseAddress else { return }
            let count = pread(descriptor, start + done, buffer.count - done, offset &+ off_t(done))
            if count < 0, errno == EINTR { continue }
            if count < 0 { throw IndexDamage("page \(number) cannot be read", failure: errno) }
            if count == 0 { throw IndexDamage("page \(number) is not there") }
            done += count
        }
    }

    /// Asks the kernel to read a page soon, so that a cold disk works on many at once.
    func expect(_ number: UInt64) {
        let page = StoreLayout.pageBytes
        posix_fadvise(
            descriptor, off_t(truncatingIfNeeded: number &* UInt64(page)), off_t(page), POSIX_FADV_WILLNEED)
    }

    func length() throws(IndexDamage) -> UInt64 {
        var status = stat()
        guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
            throw IndexDamage("data.mdb is not a file")
        }
        return UInt64(clamping: status.st_size)
    }
}
