import Foundation

/// Reads a file past the page cache (O_DIRECT), on one thread: what the device can do.
final class DirectFile {
    private static let blockBytes = 4096
    /// O_DIRECT, which fcntl.h shows only to those who define _GNU_SOURCE first.
    #if arch(arm64)
        private static let pastThePageCache: Int32 = 0o200000
    #else
        private static let pastThePageCache: Int32 = 0o40000
    #endif

    private let descriptor: Int32
    private let blocks: Int
    private let buffer: UnsafeMutableRawBufferPointer

    /// - Parameter longest: bytes that one read may ask for.
    init(_ path: String, longest: Int) throws {
        descriptor = open(path, O_RDONLY | Self.pastThePageCache | O_CLOEXEC)
        guard descriptor >= 0 else { throw BenchError("cannot read \(path) with O_DIRECT: errno \(errno)") }
        blocks = Int(lseek(descriptor, 0, SEEK_END)) / Self.blockBytes
        buffer = .allocate(byteCount: Self.roundedUp(longest), alignment: Self.blockBytes)
        // The kernel finds memory for it now.
        _ = buffer.initializeMemory(as: UInt8.self, repeating: 1)
    }

    deinit {
        close(descriptor)
        buffer.deallocate()
    }

    /// Reads `count` bytes, rounded up to whole blocks, in one call at a random place.
    /// - Parameter part: where in the file, from 0 to 1.
    func readAnywhere(_ count: Int, within part: Range<Double> = 0..<1) throws {
        let count = Self.roundedUp(count)
        let first = Int(part.lowerBound * Double(blocks))
        let last = Int(part.upperBound * Double(blocks)) - count / Self.blockBytes
        guard last >= first, count <= buffer.count else { throw BenchError("the file is too small to read from") }
        let place = Int.random(in: first...last) * Self.blockBytes
        guard pread(descriptor, buffer.baseAddress, count, off_t(place)) == count else {
            throw BenchError("a read of \(count) bytes failed: errno \(errno)")
        }
    }

    private static func roundedUp(_ count: Int) -> Int { (count + blockBytes - 1) / blockBytes * blockBytes }
}
