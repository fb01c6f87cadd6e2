internal import CacheBase
internal import Glibc

// Files at whose other end is somebody: pipes, terminals. Nobody may wait for that one in a way that cannot be called off, so such files are
// opened without waiting (`O_NONBLOCK`, on a description of our own), and what waits looks at ``Cancellation`` again and again.
extension OpenFile {
    /// How long a wait takes to learn that it was called off.
    private static let turnMilliseconds: Int32 = 50

    /// Opens `path` for writing, as it is; waits until the reader of a named pipe is there.
    static func openStream(_ path: String) throws -> OpenFile {
        let descriptor = try BlockingWait.system.first(within: nil) { () -> Int32? in
            let descriptor = Glibc.open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC)
            if descriptor >= 0 { return descriptor }
            let number = errno
            if number == EINTR || number == ENXIO && isPipe(path) { return nil }
            throw CacheError.system("open \(path)", number)
        }
        // Without patience there is no end without a value.
        return OpenFile(adopting: descriptor ?? -1, name: path)
    }

    private static func isPipe(_ path: String) -> Bool {
        var status = stat()
        return stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFIFO
    }

    /// Returns when a read or write would not wait, or would fail.
    /// - Throws: `CancellationError` once nobody wants it any more.
    func waitUntilReady(for events: Int32) throws {
        while true {
            var question = pollfd(fd: descriptor, events: Int16(events), revents: 0)
            let answer = poll(&question, 1, Self.turnMilliseconds)
            if answer > 0 { return }
            if answer < 0, errno != EINTR { throw CacheError.system("wait for \(name)") }
            try Cancellation.check()
        }
    }

    /// Writes all of `bytes` where the descriptor stands.
    package func write(_ bytes: UnsafeRawBufferPointer) throws {
        var rest = bytes[...]
        while !rest.isEmpty {
            let part = UnsafeRawBufferPointer(rebasing: rest)
            let count = Glibc.write(descriptor, part.baseAddress, part.count)
            if count >= 0 {
                rest = rest.dropFirst(count)
                continue
            }
            let number = errno
            if number == EAGAIN {
                try waitUntilReady(for: POLLOUT)
            } else if number != EINTR {
                throw CacheError.system("write \(name)", number)
            }
        }
    }
}
