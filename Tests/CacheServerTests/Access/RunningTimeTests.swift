import NIOCore
import Testing

@testable import CacheServer

@Suite struct RunningTimeTests {
    private func overdue(after steps: [TimeAmount]) -> Bool {
        var now = NIODeadline.uptimeNanoseconds(1)
        var time = RunningTime(since: now)
        return steps.contains { step in
            now = now + step
            return time.step(to: now) > ServerAccess.patience
        }
    }

    @Test func aDiskThatDoesNotAnswerIsFoundOut() {
        #expect(!overdue(after: Array(repeating: .milliseconds(500), count: 10)))
        #expect(overdue(after: Array(repeating: .milliseconds(500), count: 11)))
        // Sweeps of a busy machine come late.
        #expect(overdue(after: Array(repeating: .seconds(2), count: 6)))
    }

    /// Its thread was stopped as well, and answers as soon as it runs.
    @Test func aDaemonThatWasStoppedBlamesNoDisk() {
        #expect(!overdue(after: [.milliseconds(500), .hours(1), .milliseconds(500)]))
        #expect(overdue(after: [.hours(1)] + Array(repeating: .milliseconds(500), count: 9)))
    }
}
