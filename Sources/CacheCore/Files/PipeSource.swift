internal import CacheBase

/// What can only be read once: a pipe, a terminal, standard input.
package final class PipeSource: ByteSource {
    private let file: OpenFile

    package init(_ file: OpenFile) { self.file = file }

    /// Waits for bytes for as long as they are wanted.
    /// - Throws: `CancellationError` once they are not.
    package func read(into buffer: UnsafeMutableRawBufferPointer) throws -> Int {
        while true {
            // Also before the first read: a named pipe that was opened without waiting reads as if it had ended until
            // its writer comes.
            try file.waitUntilReady(for: .reading)
            do throws(Errno) {
                return try file.descriptor.read(into: buffer)
            } catch {
                // Another reader of the same pipe may have been faster.
                if error != .wouldBlock { throw CacheError.system("read \(file.name)", error) }
            }
        }
    }
}
