import CacheCore
import Foundation
import NIOConcurrencyHelpers
import NIOPosix
import TestSupport
import Testing

@testable import CacheFiles

@Suite struct FileLockTests {
    private let scratch: TemporaryDirectory
    private var path: String { scratch.path + "/lock" }

    init() throws { scratch = try TemporaryDirectory() }

    /// Each has a description of its own, as two processes have.
    private func descriptor() throws -> OwnedDescriptor {
        OwnedDescriptor(try #require(Optional(open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600))))
    }

    /// A clock that moves with each pause, and what happens at each.
    private final class ManualTime: Sendable {
        private let time = NIOLockedValueBox((now: ContinuousClock.now, pauses: [UInt32]()))
        private let onPause: @Sendable (Int) -> Void

        init(onPause: @escaping @Sendable (Int) -> Void = { _ in }) { self.onPause = onPause }

        var pauses: [UInt32] { time.withLockedValue { $0.pauses } }

        var wait: BlockingWait {
            BlockingWait(now: { self.time.withLockedValue { $0.now } }) { microseconds in
                let count = self.time.withLockedValue { time in
                    time.now += .microseconds(Int(microseconds))
                    time.pauses.append(microseconds)
                    return time.pauses.count
                }
                self.onPause(count)
            }
        }
    }

    @Test func waitsForItsHolder() throws {
        let holder = try descriptor()
        let other = try descriptor()
        try FileLock.lock(holder.number, path: path)
        #expect(try !FileLock.attempt(other.number, path: path))
        let time = ManualTime { if $0 == 3 { FileLock.unlock(holder.number) } }
        try FileLock.lock(other.number, path: path, wait: time.wait)
        #expect(time.pauses == [500, 1000, 2000])
    }

    @Test func givesUpWhenItsTimeIsOver() async throws {
        let holder = try descriptor()
        let other = try descriptor()
        try FileLock.lock(holder.number, path: path)
        let time = ManualTime()
        let error = await failure {
            try FileLock.lock(other.number, path: path, within: .seconds(30), wait: time.wait)
        }
        #expect(error?.code == .timedOut)
        #expect(error?.message.contains(path) == true)
        let waited = time.pauses.reduce(0) { $0 + Int($1) }
        #expect((30_000_000..<30_020_000).contains(waited))
        #expect(time.pauses.allSatisfy { $0 <= 20_000 })
    }

    @Test func endsWhenNobodyWantsItAnyMore() async throws {
        let holder = try descriptor()
        let other = try descriptor()
        try FileLock.lock(holder.number, path: path)
        let pool = NIOThreadPool(numberOfThreads: 1)
        pool.start()
        let (pauses, paused) = AsyncStream.makeStream(of: Void.self)
        let wait = BlockingWait(now: { .now }) { _ in paused.yield() }
        let work = Task { [path] in
            try await pool.runCancellable {
                try FileLock.lock(other.number, path: path, within: .seconds(3600), wait: wait)
            }
        }
        // It waits by now.
        for await _ in pauses { break }
        work.cancel()
        await #expect(throws: CancellationError.self) { try await work.value }
        try await pool.shutdownGracefully()
    }

    @Test func synchronousCodeInATaskIsCalledOffToo() async throws {
        let work = Task {
            withUnsafeCurrentTask { $0?.cancel() }
            return Cancellation.isRequested
        }
        #expect(await work.value)
        #expect(!Cancellation.isRequested)
    }
}
