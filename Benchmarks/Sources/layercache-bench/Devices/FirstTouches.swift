import Foundation

/// Reads of 4 KiB, one in each chunk of a file, in an order that no read-ahead foresees.
enum FirstTouches {
    /// Microseconds that each read took.
    static func measure(_ path: String, byteCount: Int) throws -> [Double] {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw BenchError("cannot open \(path): \(String(cString: strerror(errno)))") }
        defer { close(descriptor) }
        posix_fadvise(descriptor, 0, 0, POSIX_FADV_RANDOM)
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 4096, alignment: 4096)
        defer { buffer.deallocate() }
        var generator = SplitMix64(seed: 1)
        return try (0..<byteCount / ChunkSample.chunkBytes).shuffled(using: &generator).map { chunk in
            let (seconds, count) = seconds {
                pread(descriptor, buffer.baseAddress, 4096, off_t(chunk * ChunkSample.chunkBytes))
            }
            guard count == 4096 else { throw BenchError("a read of \(path) gave \(count) of 4096 bytes") }
            return seconds * 1e6
        }
    }
}
