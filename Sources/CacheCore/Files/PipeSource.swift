internal import CacheBase
internal import Glibc

/// What can only be read once: a pipe, a terminal, standard input.
package final class PipeSource: ByteSource {
    private let file: OpenFile

    package init(_ file: OpenFile) { self.file = file }

    /// Waits for bytes for as long as somebody wants them.
    package func read(into buffer: UnsafeMutableRawBufferPointer) throws -> Int {
        while true {
            // Also before the first read: a named pipe that was opened without waiting reads as if it had ended until its writer comes.
            try file.waitUntilReady(for: POLLIN)
            let count = Glibc.read(file.descriptor, buffer.baseAddress, buffer.count)
            if count >= 0 { return count }
            let number = errno
            guard [EINTR, EAGAIN].contains(number) else { throw CacheError.system("read \(file.name)", number) }
        }
    }
}
