import CacheFiles
import Glibc
import TestSupport

@testable import CacheStore

/// What the page cache has of a file.
struct CachedPages {
    let path: String

    /// Whether the directory that tests use is on a disk whose pages the kernel gives up when it is asked to. In
    /// memory there is nothing to read them from.
    static let canBeForgotten: Bool = {
        guard let directory = try? TemporaryDirectory() else { return false }
        let pages = CachedPages(path: directory("probe"))
        let file = open(pages.path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard file >= 0 else { return false }
        defer { close(file) }
        let bytes = [UInt8](repeating: 1, count: 1 << 20)
        guard write(file, bytes, bytes.count) == bytes.count, pages.count == 256 else { return false }
        pages.forget()
        return pages.count == 0
    }()

    /// Writes the file to the disk and takes it out of the page cache, but for the pages that somebody has mapped.
    func forget() {
        let file = open(path, O_RDWR | O_CLOEXEC)
        fsync(file)
        posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED)
        close(file)
    }

    /// Whether a store in this file reads past the page cache here.
    var canBePassed: Bool {
        get throws {
            let file = try OpenFile.open(path)
            _ = try withUnsafeTemporaryAllocation(byteCount: 1, alignment: 1) { byte in
                try file.descriptor.read(into: byte, at: 0)
            }
            return withExtendedLifetime(file) { UncachedReads(file.descriptor) != nil }
        }
    }

    /// Pages of 4 KiB that are there.
    var count: Int {
        let file = open(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { return 0 }
        defer { close(file) }
        let length = Int(lseek(file, 0, SEEK_END))
        guard length > 0, let map = mmap(nil, length, PROT_READ, MAP_SHARED, file, 0), map != MAP_FAILED else {
            return 0
        }
        defer { munmap(map, length) }
        var pages = [UInt8](repeating: 0, count: (length + 4095) / 4096)
        guard mincore(map, length, &pages) == 0 else { return 0 }
        return pages.count { $0 & 1 == 1 }
    }

    /// Pages that the calling thread has waited for because they were not there (major faults).
    static var waits: Int {
        var usage = rusage()
        // RUSAGE_THREAD, which only _GNU_SOURCE shows.
        getrusage(__rusage_who_t(1), &usage)
        return usage.ru_majflt
    }
}
