import CacheFiles
import NIOConcurrencyHelpers
import Synchronization
import TestSupport
import Testing

@testable import CacheObjectStore

/// When a name that another process has made is taken for durable.
@Suite struct ObjectDirectoryTests {
    private static let second: Int64 = 1_000_000_000
    private let scratch: TemporaryDirectory
    private let now = NIOLockedValueBox(
        ObjectDirectory.Moment(fileTime: 1_000_000 * Self.second, monotonic: 5_000 * Self.second))

    init() throws { scratch = try TemporaryDirectory() }

    private func directory() throws -> ObjectDirectory {
        let descriptor = try Descriptor.workingDirectory.open(scratch.path, [.directory])
        return ObjectDirectory(OpenFile(adopting: descriptor, name: scratch.path)) { [now] in now.withLockedValue { $0 }
        }
    }

    private func fsyncs(_ directory: ObjectDirectory) -> UInt64 { directory.begun.load(ordering: .relaxed) }

    private func pass(_ seconds: Int64, set: Int64 = 0) {
        now.withLockedValue { now in
            now.fileTime += (seconds + set) * Self.second
            now.monotonic += seconds * Self.second
        }
    }

    @Test func anOlderNameCostsNothing() throws {
        let directory = try directory()
        let made = now.withLockedValue { $0.fileTime }
        pass(10)
        try directory.sync()
        pass(100)
        try directory.sync(nameMadeAt: made)
        #expect(fsyncs(directory) == 1)
        try directory.sync(nameMadeAt: made + 10 * Self.second)
        #expect(fsyncs(directory) == 2)
    }

    /// After a clock was set back, a new name is older than an fsync by its time alone.
    @Test func aClockThatWasSetProvesNothing() throws {
        let directory = try directory()
        try directory.sync()
        pass(1, set: -3600)
        let made = now.withLockedValue { $0.fileTime }
        pass(1)
        try directory.sync(nameMadeAt: made)
        #expect(fsyncs(directory) == 2)
        // That was one by the clock as it is now.
        pass(10)
        try directory.sync(nameMadeAt: made - 10 * Self.second)
        #expect(fsyncs(directory) == 2)
    }
}
