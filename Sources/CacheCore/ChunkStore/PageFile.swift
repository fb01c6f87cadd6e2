internal import Glibc

/// Why a store cannot be used.
struct IndexDamage: Error {
    let reason: String

    init(_ reason: String) {
        self.reason = reason
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
            if count <= 0 { throw IndexDamage("page \(number) cannot be read") }
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

/// Bytes that may hold anything, read at any offset: what lies outside reads as zero, so that no input can trap.
struct PageBytes {
    let bytes: UnsafeRawBufferPointer

    func load<T: FixedWidthInteger & BitwiseCopyable>(_ offset: Int, as type: T.Type) -> T {
        guard offset >= 0, offset <= bytes.count - MemoryLayout<T>.size else { return 0 }
        return bytes.loadUnaligned(fromByteOffset: offset, as: type)
    }

    func u16(_ offset: Int) -> Int { Int(load(offset, as: UInt16.self)) }
    func u32(_ offset: Int) -> Int { Int(load(offset, as: UInt32.self)) }
    func u64(_ offset: Int) -> UInt64 { load(offset, as: UInt64.self) }

    /// `count` bytes from `offset`; empty if they are not all inside.
    func slice(_ offset: Int, _ count: Int) -> UnsafeRawBufferPointer {
        guard offset >= 0, count >= 0, offset <= bytes.count, count <= bytes.count - offset else {
            return UnsafeRawBufferPointer(start: nil, count: 0)
        }
        return UnsafeRawBufferPointer(rebasing: bytes[offset..<offset + count])
    }
}

/// One bit a page: whether something refers to it.
struct PageSet {
    private var words: [UInt64]
    let pages: UInt64

    init(pages: UInt64) {
        self.pages = pages
        words = Array(repeating: 0, count: Int(truncatingIfNeeded: pages / 64 + 1))
    }

    /// Adds `count` pages from `first`; false if one of them is outside or in the set already.
    mutating func add(_ first: UInt64, count: UInt64 = 1) -> Bool {
        guard first < pages, count <= pages - first else { return false }
        for page in first..<first + count {
            let bit = UInt64(1) << (page & 63)
            let word = Int(truncatingIfNeeded: page >> 6)
            if words[word] & bit != 0 { return false }
            words[word] |= bit
        }
        return true
    }

    func isDisjoint(with other: PageSet) -> Bool {
        zip(words, other.words).allSatisfy { $0 & $1 == 0 }
    }
}
