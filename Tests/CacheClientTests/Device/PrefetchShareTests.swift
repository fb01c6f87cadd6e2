import CacheCore
import Synchronization
import TestSupport
import Testing

@testable import CacheClient

/// Whose chunk begins next, of all that are fetched ahead, and what becomes of those who leave.
@Suite(.timeLimit(.minutes(10))) struct PrefetchShareTests {
    private let demand = DemandGate()
    private let deadlines = Deadlines(time: TimeSource(ManualClock()))
    private let share = PrefetchShare(parallelism: 1, memoryBytes: 100)

    /// A chunk that waits for its turn, and is under way until the test ends it.
    private func wait(_ name: String, isTraced: Bool, _ begun: Begun) async throws -> Task<Void, any Error> {
        let before = share.waiting
        let task = Task {
            try await share.begin(isTraced: isTraced, standingBackAt: demand, deadlines)
            begun.add(name)
        }
        try await eventually("a wait of \(name)") { share.waiting == before + 1 }
        return task
    }

    private func begin(isTraced: Bool = false) async throws {
        try await share.begin(isTraced: isTraced, standingBackAt: demand, deadlines)
    }

    @Test func tracesGoBeforeWholeImagesAndAllGoInTurn() async throws {
        try await begin()
        let begun = Begun()
        var tasks: [Task<Void, any Error>] = []
        for name in ["all 1", "all 2", "all 3"] { tasks.append(try await wait(name, isTraced: false, begun)) }
        for name in ["trace 1", "trace 2"] { tasks.append(try await wait(name, isTraced: true, begun)) }
        for count in 1...5 {
            // The first one is of a whole image, then come the traces.
            share.end(isTraced: count == 2 || count == 3)
            try await eventually("the next one") { begun.names.count == count }
        }
        #expect(begun.names == ["trace 1", "trace 2", "all 1", "all 2", "all 3"])
        for task in tasks { try await task.value }
    }

    @Test func whoeverLeavesTakesNothingAlong() async throws {
        try await begin()
        let begun = Begun()
        let waiting = [
            try await wait("all 1", isTraced: false, begun), try await wait("all 2", isTraced: false, begun),
            try await wait("trace", isTraced: true, begun),
        ]
        for task in waiting {
            task.cancel()
            await #expect(throws: CancellationError.self) { try await task.value }
        }
        #expect(share.waiting == 0)
        share.end(isTraced: false)
        try await begin()
        #expect(begun.names == [])
    }

    /// Whole images whose chunks hang leave room for a trace.
    @Test func aQuarterIsLeftToTraces() async throws {
        let share = PrefetchShare(parallelism: 8, memoryBytes: 0)
        for _ in 0..<6 { try await share.begin(isTraced: false, standingBackAt: demand, deadlines) }
        let next = Task { try await share.begin(isTraced: false, standingBackAt: demand, deadlines) }
        try await eventually("a wait") { share.waiting == 1 }
        for _ in 0..<2 { try await share.begin(isTraced: true, standingBackAt: demand, deadlines) }
        #expect(share.waiting == 1)
        share.end(isTraced: true)
        #expect(share.waiting == 1)
        share.end(isTraced: false)
        try await next.value
    }

    /// One at a time waits for the end of the reads, however many devices there are; who is cancelled there leaves at
    /// once, and the next one begins when the read has ended.
    @Test func oneWholeImageAtATimeStandsBack() async throws {
        let share = PrefetchShare(parallelism: 8, memoryBytes: 0)
        demand.enter()
        let begun = Begun()
        let devices = (0..<4).map { number in
            Task {
                try await share.begin(isTraced: false, standingBackAt: demand, deadlines)
                begun.add("\(number)")
            }
        }
        try await eventually("one that stands back") { demand.standingBack == 1 && share.waiting == 3 }
        #expect(begun.names == [])
        for task in devices.dropLast(2) { task.cancel() }
        try await eventually("another one") { demand.standingBack == 1 && share.waiting == 1 }
        demand.leave()
        for task in devices.suffix(2) { try await task.value }
        for task in devices.prefix(2) {
            await #expect(throws: CancellationError.self) { try await task.value }
        }
        #expect(Set(begun.names) == ["2", "3"])
    }

    /// Memory is taken by those who fetch at the same time, and is there again for those who come later.
    @Test func memoryIsOfAllTogether() {
        let (first, second) = (PrefetchProgress(share), PrefetchProgress(share))
        #expect(first.takeMemory(60))
        #expect(!second.takeMemory(60))
        #expect(second.takeMemory(40))
        #expect(!first.takeMemory(1))
        first.giveMemory()
        #expect(second.takeMemory(60))
    }
}

/// Names in the order in which they were added.
final class Begun: Sendable {
    private let list = Mutex<[String]>([])

    var names: [String] { list.withLock { $0 } }

    func add(_ name: String) { list.withLock { $0.append(name) } }
}
