import Foundation

/// Writes chunks to a new file, one call each and nothing around it: the yardstick of what a pull leaves on the disk.
final class BareFile {
    private let descriptor: Int32
    private var position = 0
    /// Set aside ahead, as a pull does: without that a write takes twice the time.
    private static let reservation = 64 << 20

    init(_ path: String) throws {
        descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw BenchError("cannot write \(path): errno \(errno)") }
    }

    deinit { close(descriptor) }

    /// Begins again with an empty file.
    func clear() throws {
        guard ftruncate(descriptor, 0) == 0, lseek(descriptor, 0, SEEK_SET) == 0 else {
            throw BenchError("the file cannot be cleared: errno \(errno)")
        }
        position = 0
    }

    func append(_ bytes: UnsafeRawBufferPointer) throws {
        if position % Self.reservation == 0 {
            let number = posix_fallocate(descriptor, off_t(position), off_t(Self.reservation))
            guard number == 0 else { throw BenchError("there is no room for a pull's file: errno \(number)") }
        }
        guard write(descriptor, bytes.baseAddress, bytes.count) == bytes.count else {
            throw BenchError("a write of \(bytes.count) bytes failed: errno \(errno)")
        }
        position += bytes.count
    }
}
