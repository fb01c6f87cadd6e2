import CacheCore
import Foundation
import NIOConcurrencyHelpers
import NIOPosix
import TestSupport
import Testing

@testable import CacheClient

@Suite struct WorkLineTests {
    private let pool = NIOThreadPool(numberOfThreads: 4)
    private let clock = ManualClock()

    init() { pool.start() }

    private typealias Work = @Sendable () -> Void

    private func line(threads: Int, capacity: Int) -> WorkLine<Work> {
        WorkLine(on: pool, threads: threads, capacity: capacity, time: TimeSource(clock)) { first, second in
            first()
            second?()
        }
    }

    @Test func oneThreadWorksInOrder() async throws {
        let line = line(threads: 1, capacity: 1000)
        let done = NIOLockedValueBox<[Int]>([])
        for number in 0..<1000 { #expect(line.take { done.withLockedValue { $0.append(number) } }) }
        try await eventually("all is done") { done.withLockedValue { $0.count } == 1000 }
        #expect(done.withLockedValue { $0 } == Array(0..<1000))
        try await pool.shutdownGracefully()
    }

    /// Two at once, but not while another thread would have nothing to do.
    @Test func aThreadTakesTwoOfMany() async throws {
        let gate = DispatchSemaphore(value: 0)
        let taken = NIOLockedValueBox<[[Int]]>([])
        let line = WorkLine<Int>(on: pool, threads: 2, capacity: 100, time: TimeSource(clock)) { first, second in
            taken.withLockedValue { $0.append([first] + (second.map { [$0] } ?? [])) }
            if first < 2 { gate.wait() }
        }
        #expect(line.take(0) && line.take(1))
        try await eventually("both threads are at work") { taken.withLockedValue { $0.count } == 2 }
        for number in 2..<8 { #expect(line.take(number)) }
        gate.signal()
        try await eventually("one thread has done all the rest") {
            taken.withLockedValue { $0.joined().count } == 8
        }
        gate.signal()
        // Nothing is left for the other thread, which has something to do.
        #expect(taken.withLockedValue { $0.dropFirst(2) } == [[2, 3], [4, 5], [6, 7]])
        try await pool.shutdownGracefully()
    }

    @Test func oneIsLeftForAThreadThatIsFree() async throws {
        let gate = DispatchSemaphore(value: 0)
        let taken = NIOLockedValueBox<[[Int]]>([])
        let line = WorkLine<Int>(on: pool, threads: 2, capacity: 100, time: TimeSource(clock)) { first, second in
            taken.withLockedValue { $0.append([first] + (second.map { [$0] } ?? [])) }
            gate.wait()
        }
        #expect(line.take(0) && line.take(1))
        try await eventually("each thread has one") { taken.withLockedValue { $0.count } == 2 }
        #expect(taken.withLockedValue { $0.allSatisfy { $0.count == 1 } })
        for _ in 0..<2 { gate.signal() }
        try await pool.shutdownGracefully()
    }

    @Test func neverMoreThreadsThanItMayHave() async throws {
        let line = line(threads: 2, capacity: 100)
        let counts = NIOLockedValueBox((now: 0, most: 0, done: 0))
        for _ in 0..<100 {
            #expect(
                line.take {
                    counts.withLockedValue {
                        $0.now += 1
                        $0.most = max($0.most, $0.now)
                    }
                    counts.withLockedValue {
                        $0.now -= 1
                        $0.done += 1
                    }
                })
        }
        try await eventually("all is done") { counts.withLockedValue { $0.done } == 100 }
        #expect(counts.withLockedValue { $0.most } <= 2)
        try await pool.shutdownGracefully()
    }

    /// A disk that hangs gets no more to do; once it answers, it does.
    @Test func nothingIsTakenBehindWhatHangs() async throws {
        let line = line(threads: 2, capacity: 3)
        let gate = DispatchSemaphore(value: 0)
        let begun = NIOLockedValueBox(0)
        let done = NIOLockedValueBox(0)
        func hang() -> Bool {
            line.take {
                begun.withLockedValue { $0 += 1 }
                gate.wait()
                done.withLockedValue { $0 += 1 }
            }
        }
        #expect(hang() && hang())
        try await eventually("both threads hang") { begun.withLockedValue { $0 } == 2 }
        #expect(hang())
        clock.advance(by: WorkLine<Work>.patience + .milliseconds(1))
        #expect(!hang())
        for _ in 0..<3 { gate.signal() }
        try await eventually("all is done") { done.withLockedValue { $0 } == 3 }
        // It is free again, and holds no more than it may.
        #expect(hang() && hang())
        try await eventually("both threads hang again") { begun.withLockedValue { $0 } == 5 }
        #expect(hang() && hang() && hang())
        #expect(!hang())
        for _ in 0..<5 { gate.signal() }
        try await eventually("all is done") { done.withLockedValue { $0 } == 8 }
        try await pool.shutdownGracefully()
    }
}
