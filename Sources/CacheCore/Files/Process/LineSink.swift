internal import NIOConcurrencyHelpers
internal import NIOCore
internal import NIOPosix

/// Queues lines for a descriptor whose reader may be slow or gone, so that writing one never waits.
///
/// One thread writes what a bounded queue holds, and it alone stands still when the pipe is full, the terminal is
/// stopped or the disk hangs. What finds no room, or cannot be written, is dropped and counted, and the reader is told
/// how much once it is back. The descriptor is left as it is: making it non-blocking would change it for every process
/// that shares it.
package final class LineSink: Sendable {
    private struct State {
        var lines = CircularBuffer<String>()
        var bytes = 0
        var isWriting = false
        var hasWritten = false
        var dropped = 0
        /// Dropped since the reader was told last.
        var untold = 0
    }

    private enum Output {
        case descriptor(Descriptor)
        case file(LogFile)
    }

    private let output: Output
    private let capacity: Int
    private let state = NIOLockedValueBox(State())
    private let thread = NIOThreadPool(numberOfThreads: 1)

    /// - Parameters:
    ///   - descriptor: it stays the caller's, and open for as long as this is used.
    ///   - capacity: bytes of the lines that may wait.
    package init(descriptor: Descriptor, capacity: Int = LineSink.standardCapacity) {
        output = .descriptor(descriptor)
        self.capacity = capacity
    }

    /// Writes to a file of bounded size, and begins a new one when that is full.
    package init(file: LogFile) {
        output = .file(file)
        capacity = Self.standardCapacity
    }

    package static let standardCapacity = 256 * 1024

    deinit { thread.shutdownGracefully { _ in } }

    /// Lines that were not written.
    package var dropped: Int { state.withLockedValue { $0.dropped } }

    /// Queues a line, without its end, or drops it.
    package func write(_ line: String) {
        let size = line.utf8.count + 1
        let wakes = state.withLockedValue { state in
            guard state.bytes + size <= capacity else {
                state.dropped += 1
                state.untold += 1
                return false
            }
            state.lines.append(line)
            state.bytes += size
            defer { (state.isWriting, state.hasWritten) = (true, true) }
            return !state.isWriting
        }
        // Not before: a process that has no thread to spare has a line about that to write.
        if wakes {
            thread.start()
            thread.submit { _ in self.drain() }
        }
    }

    /// Waits until all that was queued before is written or dropped, but no longer than `seconds`: at the end of the
    /// process. Blocks.
    package func flush(within seconds: Double) {
        guard state.withLockedValue({ $0.hasWritten }) else { return }
        thread.start()
        let isDone = ConditionLock(value: false)
        thread.submit { _ in
            isDone.lock()
            isDone.unlock(withValue: true)
        }
        if isDone.lock(whenValue: true, timeoutSeconds: seconds) { isDone.unlock() }
    }

    private func drain() {
        while let line = next() {
            let isWritten = put(line + "\n")
            let untold = state.withLockedValue { state in
                state.bytes -= line.utf8.count + 1
                if isWritten { return state.untold }
                state.dropped += 1
                state.untold += 1
                return 0
            }
            if untold > 0, put("\(untold) lines of the log were dropped here: nobody read them in time\n") {
                state.withLockedValue { $0.untold -= untold }
            }
        }
    }

    private func next() -> String? {
        state.withLockedValue { state in
            let line = state.lines.popFirst()
            if line == nil { state.isWriting = false }
            return line
        }
    }

    /// Writes all of `text`, however long that takes; false if it cannot be written.
    private func put(_ text: String) -> Bool {
        switch output {
        case .descriptor(let descriptor): return Self.put(text, to: descriptor)
        case .file(let log):
            guard let file = log.ready() else { return false }
            return withExtendedLifetime(file) { Self.put(text, to: file.descriptor) }
        }
    }

    private static func put(_ text: String, to descriptor: Descriptor) -> Bool {
        var text = text
        return text.withUTF8 { bytes in
            var rest = UnsafeRawBufferPointer(bytes)
            while !rest.isEmpty {
                do throws(Errno) {
                    let count = try descriptor.write(rest)
                    rest = UnsafeRawBufferPointer(rebasing: rest[count...])
                } catch .interrupted {
                } catch .wouldBlock {
                    // Another process that shares the descriptor made it non-blocking. If the wait fails, so does the
                    // next write.
                    do throws(Errno) { _ = try descriptor.isReady(for: .writing, within: -1) } catch {}
                } catch {
                    return false
                }
            }
            return true
        }
    }
}
