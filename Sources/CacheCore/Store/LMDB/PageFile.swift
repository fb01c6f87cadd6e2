internal import CacheFiles

/// What is wrong with a store's data file, so that it cannot be used.
struct IndexDamage: Error {
    let reason: String
    /// Not damaged: a newer version of this program has written it.
    let isNewer: Bool
    /// The error number with which the disk failed to read it, so that nothing is known of it; `nil` if it was read.
    let failure: Errno?

    init(_ reason: String, isNewer: Bool = false, failure: Errno? = nil) {
        self.reason = reason
        self.isNewer = isNewer
        self.failure = failure
    }
}

/// Reads pages of a data file with `pread`: a file that is shorter than it says is an error here, where a map would
/// kill the process.
struct PageFile {
    let descriptor: Descriptor

    func read(_ number: UInt64, into buffer: UnsafeMutableRawBufferPointer) throws(IndexDamage) {
        // Page numbers are below 2^32 (16 TiB) when they come here.
        let offset = Int(truncatingIfNeeded: number &* UInt64(StoreLayout.pageBytes))
        let count: Int
        do throws(Errno) {
            count = try descriptor.readAll(into: buffer, at: offset)
        } catch {
            throw IndexDamage("page \(number) cannot be read", failure: error)
        }
        guard count == buffer.count else { throw IndexDamage("page \(number) is not there") }
    }

    /// Asks the kernel to read a page soon, so that a cold disk works on many at once.
    func expect(_ number: UInt64) {
        let start = Int(truncatingIfNeeded: number &* UInt64(StoreLayout.pageBytes))
        descriptor.willNeed(start..<start + StoreLayout.pageBytes)
    }

    func length() throws(IndexDamage) -> UInt64 {
        let status: FileStatus?
        do throws(Errno) { status = try descriptor.status() } catch { status = nil }
        guard let status, status.kind == .regular else { throw IndexDamage("data.mdb is not a file") }
        return UInt64(clamping: status.size)
    }
}
