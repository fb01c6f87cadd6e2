import CacheCore
import TestSupport
import Testing

@testable import CacheClient

@Suite(.timeLimit(.minutes(5))) struct DemandGateTests {
    private let clock = ManualClock()
    private let gate = DemandGate()

    @Test func nobodyWaitsWithoutDemand() async {
        await gate.standBack(within: .seconds(3600), Deadlines(time: TimeSource(clock)))
    }

    @Test func standsBackUntilTheLastReadIsDone() async throws {
        let deadlines = Deadlines(time: TimeSource(clock))
        gate.enter()
        gate.enter()
        let waiting = Task { await gate.standBack(within: .seconds(3600), deadlines) }
        try await eventually("standing back") { gate.standingBack == 1 }
        gate.leave()
        #expect(gate.standingBack == 1)
        gate.leave()
        await waiting.value
        #expect(gate.standingBack == 0)
    }

    @Test func aReadThatHangsIsStoodBackForNoLongerThanThat() async throws {
        let deadlines = Deadlines(time: TimeSource(clock))
        gate.enter()
        let waiting = Task { await gate.standBack(within: .milliseconds(100), deadlines) }
        try await eventually("standing back") { gate.standingBack == 1 }
        try await clock.passing { await waiting.value }
        #expect(gate.standingBack == 0)
        #expect(clock.now.offset >= .milliseconds(100))
        gate.leave()
    }

    @Test func aTaskThatIsCancelledGoesOn() async throws {
        let deadlines = Deadlines(time: TimeSource(clock))
        gate.enter()
        let waiting = Task { await gate.standBack(within: .seconds(3600), deadlines) }
        try await eventually("standing back") { gate.standingBack == 1 }
        waiting.cancel()
        await waiting.value
        gate.leave()
    }
}
