import CacheCore
import TestSupport
import Testing

@testable import CacheClient

/// Waits that end because an item arrived, because their time is over, or because the waiter was cancelled.
@Suite(.timeLimit(.minutes(10))) struct ArrivalTests {
    private let clock = ManualClock()

    @Test func theyComeInOrderOrNotInTime() async throws {
        let deadlines = Deadlines(time: TimeSource(clock))
        let arrivals = Arrivals<Int>()
        #expect(arrivals.add(1))
        #expect(arrivals.add(2))
        #expect(try await arrivals.next(deadlines) == 1)
        #expect(try await arrivals.next(within: .seconds(1), deadlines) == 2)
        #expect(try await clock.passing { try await arrivals.next(within: .seconds(1), deadlines) } == nil)
        // What a wait was too short for, the next one gets.
        async let third = arrivals.next(deadlines)
        #expect(arrivals.add(3))
        #expect(try await third == 3)
        #expect(arrivals.add(4))
        #expect(arrivals.leave() == [4])
        #expect(!arrivals.add(5))
    }

    @Test func whoIsCancelledWaitsForNothing() async throws {
        let deadlines = Deadlines(time: TimeSource(clock))
        let arrivals = Arrivals<Int>()
        let waiting = Task { try await arrivals.next(within: .seconds(1), deadlines) }
        waiting.cancel()
        await #expect(throws: CancellationError.self) { _ = try await waiting.value }
    }

    @Test func aDeadlineEndsAWaitAndNothingElse() async throws {
        let deadlines = Deadlines(time: TimeSource(clock))
        let (begun, beginning) = AsyncStream.makeStream(of: Void.self)
        let late = Task {
            try await deadlines.run(.seconds(5), "it") {
                beginning.finish()
                let (never, open) = AsyncStream.makeStream(of: Void.self)
                for await _ in never {}
                withExtendedLifetime(open) {}
            }
        }
        for await _ in begun {}
        clock.advance(by: .seconds(6))
        #expect(await cacheError { try await late.value }?.code == .timedOut)
        #expect(try await deadlines.run(.seconds(5), "it") { 7 } == 7)
    }

    @Test func roomIsWaitedForNoLongerThanSaid() async throws {
        let deadlines = Deadlines(time: TimeSource(clock))
        let limit = AsyncLimiter("tests", capacity: 2, maximumWaiters: .max)
        #expect(limit.acquireNow(weight: 2))
        #expect(try await clock.passing { try await limit.acquire(within: .seconds(1), deadlines) } == false)
        async let room = limit.acquire(within: .seconds(3600), deadlines)
        limit.release(weight: 2)
        #expect(try await room)
        // Neither wait has taken more than it was given.
        #expect(limit.acquireNow())
        #expect(!limit.acquireNow())
    }

    @Test func whatIsLimitedMayChange() async throws {
        let deadlines = Deadlines(time: TimeSource(clock))
        let limit = AsyncLimiter("tests", capacity: 1, maximumWaiters: .max)
        #expect(limit.acquireNow())
        async let second = limit.acquire(within: .seconds(3600), deadlines)
        try await eventually("a waiter") { limit.waiting == 1 }
        limit.resize(3)
        #expect(try await second)
        #expect(limit.acquireNow())
        // Three are under way, one is allowed: the next comes in when all of them have ended.
        limit.resize(1)
        for _ in 0..<3 {
            #expect(!limit.acquireNow())
            limit.release()
        }
        #expect(limit.acquireNow())
        limit.resize(0)
        #expect(!limit.acquireNow())
        limit.release()
        #expect(limit.acquireNow())
    }
}
