internal import CacheBase

// Files with another end, which may never read or write: pipes, terminals. A wait for it must be one that can be
// cancelled, so such files are opened without waiting (`O_NONBLOCK`, opened anew and so for this process alone), and
// what waits looks at ``Cancellation`` again and again.
extension OpenFile {
    /// How long a wait takes to learn that it was called off.
    private static let turnMilliseconds: Int32 = 50

    /// Opens `path` for writing, as it is; waits until the reader of a named pipe is there.
    static func openStream(_ path: String) throws -> OpenFile {
        let descriptor = try BlockingWait.system.first(within: nil) { () -> Descriptor? in
            do throws(Errno) {
                return try Descriptor.workingDirectory.open(path, [.writeOnly, .nonBlocking])
            } catch {
                if error == .noDeviceOrAddress, FileStatus.find(path)?.kind == .fifo { return nil }
                throw CacheError.system("open \(path)", error)
            }
        }
        // Without a bound the wait ends with a value or an error.
        return OpenFile(adopting: descriptor ?? Descriptor(rawValue: -1), name: path)
    }

    /// Returns when a read or write would not wait, or would fail.
    /// - Throws: `CancellationError` once the result is not wanted any more.
    func waitUntilReady(for direction: Descriptor.Direction) throws {
        while true {
            let isReady = try reporting("wait for \(name)") { () throws(Errno) in
                try descriptor.isReady(for: direction, within: Self.turnMilliseconds)
            }
            if isReady { return }
            try Cancellation.check()
        }
    }

    /// Writes all of `bytes` where the descriptor stands.
    package func write(_ bytes: UnsafeRawBufferPointer) throws {
        var rest = bytes
        while !rest.isEmpty {
            do throws(Errno) {
                let count = try descriptor.write(rest)
                rest = UnsafeRawBufferPointer(rebasing: rest[count...])
                continue
            } catch {
                guard error == .wouldBlock else {
                    if error == .interrupted { continue }
                    throw CacheError.system("write \(name)", error)
                }
            }
            try waitUntilReady(for: .writing)
        }
    }
}
