import NIOCore
import TestSupport
import Testing

@testable import CacheServer

/// Who waits for the in-flight budget, and who goes on when.
struct AdmissionQueueTests {
    typealias Reservation = InFlightBudget.Reservation

    private func waiter(_ number: Int, _ bytes: Int, _ purpose: InFlightBudget.Purpose) -> AdmissionQueue.Waiter {
        .init(connection: ConnectionID(number: number), wanted: Reservation(bytes: bytes, purpose: purpose))
    }

    /// A queue whose budget of 100 bytes is spent on one response.
    private func fullQueue() throws -> AdmissionQueue {
        var queue = AdmissionQueue(InFlightBudget(bytes: 100, requests: 10, largest: 10))
        let isReserved = queue.reserve(Reservation(bytes: 100, purpose: .response))
        try #require(isReserved)
        return queue
    }

    @Test func noneOvertakesInItsLine() throws {
        var queue = try fullQueue()
        queue.enqueue(waiter(1, 60, .response))
        queue.enqueue(waiter(2, 1, .response))
        queue.release(Reservation(bytes: 100, purpose: .response))
        // There is enough left for a newcomer, but others were there before it.
        let newcomer = queue.reserve(Reservation(bytes: 1, purpose: .response))
        #expect(!newcomer)
        let admitted = [queue.admitNext(), queue.admitNext(), queue.admitNext()]
        #expect(admitted == [waiter(1, 60, .response), waiter(2, 1, .response), nil])
        #expect(queue.budget.bytes == 61)
    }

    @Test func firstThatDoesNotFitHoldsItsLineBackAndNoOther() throws {
        var queue = try fullQueue()
        queue.enqueue(waiter(1, 80, .response))
        queue.enqueue(waiter(2, 10, .response))
        queue.enqueue(waiter(3, 30, .requestBody))
        queue.shrink(.response, by: 50)
        let admitted = [queue.admitNext(), queue.admitNext()]
        #expect(admitted == [waiter(3, 30, .requestBody), nil])
    }

    /// What connections hold is not there for requests, but for a quarter, and for one body.
    @Test func connectionsTakeTheirPart() {
        var queue = AdmissionQueue(InFlightBudget(bytes: 100, requests: 10, largest: 30))
        queue.connectionsHold(40)
        let (tooMuch, fits) = (
            queue.reserve(Reservation(bytes: 61, purpose: .response)),
            queue.reserve(Reservation(bytes: 60, purpose: .response))
        )
        #expect(!tooMuch && fits)
        queue.release(Reservation(bytes: 60, purpose: .response))
        queue.connectionsHold(1_000)
        queue.enqueue(waiter(1, 31, .response))
        let early = queue.admitNext()
        #expect(early == nil)
        let body = queue.reserve(Reservation(bytes: 30, purpose: .requestBody))
        #expect(body)
        queue.release(Reservation(bytes: 30, purpose: .requestBody))
        queue.connectionsHold(-980)
        let late = queue.admitNext()
        #expect(late == waiter(1, 31, .response))
    }

    @Test func readersDoNotWaitForSenders() throws {
        var queue = AdmissionQueue(InFlightBudget(bytes: 100, requests: 10, largest: 10))
        let body = queue.reserve(Reservation(bytes: 50, purpose: .requestBody))
        queue.enqueue(waiter(1, 10, .requestBody))
        let response = queue.reserve(Reservation(bytes: 50, purpose: .response))
        #expect(body)
        #expect(response)
        let admitted = queue.admitNext()
        #expect(admitted == nil)
    }

    /// Clients that have not shown that they read get a quarter, and whoever has goes before them.
    @Test func newClientsTakeAQuarter() throws {
        var queue = AdmissionQueue(InFlightBudget(bytes: 100, requests: 10, largest: 10))
        let first = queue.reserve(Reservation(bytes: 25, purpose: .firstResponse))
        let second = queue.reserve(Reservation(bytes: 1, purpose: .firstResponse))
        let known = queue.reserve(Reservation(bytes: 75, purpose: .response))
        #expect(first && !second && known)
        queue.enqueue(waiter(1, 10, .firstResponse))
        queue.enqueue(waiter(2, 10, .response))
        queue.release(Reservation(bytes: 25, purpose: .firstResponse))
        let admitted = [queue.admitNext(), queue.admitNext(), queue.admitNext()]
        #expect(admitted == [waiter(2, 10, .response), waiter(1, 10, .firstResponse), nil])
    }

    @Test func aForecastFollowsTheLine() {
        let start = NIODeadline.uptimeNanoseconds(1 << 40)
        var forecast = WaitForecast()
        #expect(forecast.wait(behind: 1_000) == .zero)
        for turn in 0...200 { forecast.turned(at: start + .milliseconds(10) * turn, others: true) }
        #expect(forecast.wait(behind: 100) > .milliseconds(990))
        #expect(forecast.wait(behind: 100) <= .seconds(1))
        // A line that was empty for long was not slow.
        forecast.turned(at: start + .seconds(3), others: false)
        let before = forecast.wait(behind: 1)
        forecast.turned(at: start + .seconds(1_000), others: true)
        #expect(forecast.wait(behind: 1) == before)
    }

    @Test func waiterThatLeavesMakesWay() throws {
        var queue = try fullQueue()
        queue.enqueue(waiter(1, 100, .response))
        queue.enqueue(waiter(2, 20, .response))
        queue.shrink(.response, by: 20)
        let early = queue.admitNext()
        #expect(early == nil)
        queue.withdraw(ConnectionID(number: 1))
        let next = queue.admitNext()
        #expect(next == waiter(2, 20, .response))
        #expect(!queue.hasWaiters)
    }

    /// Random requests against a model of plain arrays.
    @Test func modelAgrees() {
        let seed = UInt64.random(in: 0...UInt64.max)
        var random = SeededGenerator(seed: seed)
        var queue = AdmissionQueue(InFlightBudget(bytes: 1_000, requests: 12, largest: 300))
        var held: [Reservation] = []
        var lines: [[AdmissionQueue.Waiter]] = [[], [], []]
        var admitted = 0
        for number in 0..<4_000 {
            switch Int.random(in: 0..<8, using: &random) {
            case 0..<4:
                let purpose = InFlightBudget.Purpose.allCases.randomElement(using: &random) ?? .response
                let wanted = Reservation(bytes: .random(in: 0...300, using: &random), purpose: purpose)
                if queue.reserve(wanted) {
                    #expect(lines[purpose.rawValue].isEmpty, "overtaken: seed \(seed)")
                    held.append(wanted)
                } else {
                    let waiter = AdmissionQueue.Waiter(connection: ConnectionID(number: number), wanted: wanted)
                    queue.enqueue(waiter)
                    lines[purpose.rawValue].append(waiter)
                }
            case 4..<6:
                guard let index = held.indices.randomElement(using: &random) else { continue }
                queue.release(held.remove(at: index))
            case 6:
                guard let index = held.indices.randomElement(using: &random) else { continue }
                let surplus = Int.random(in: 0...held[index].bytes, using: &random)
                queue.shrink(held[index].purpose, by: surplus)
                held[index].bytes -= surplus
            default:
                guard let waiter = lines.flatMap(\.self).randomElement(using: &random) else { continue }
                queue.withdraw(waiter.connection)
                lines[waiter.wanted.purpose.rawValue].removeAll { $0 == waiter }
            }
            while let waiter = queue.admitNext() {
                #expect(lines[waiter.wanted.purpose.rawValue].first == waiter, "out of turn: seed \(seed)")
                lines[waiter.wanted.purpose.rawValue].removeAll { $0 == waiter }
                held.append(waiter.wanted)
                admitted += 1
            }
            #expect(queue.budget.bytes == held.reduce(0) { $0 + $1.bytes }, "seed \(seed)")
            #expect(queue.budget.bytes <= 1_000 && held.count <= 12, "seed \(seed)")
            #expect(queue.budget.requests == held.count, "seed \(seed)")
            #expect(queue.hasWaiters == lines.contains { !$0.isEmpty }, "seed \(seed)")
        }
        #expect(admitted > 100, "the generator fills no line: seed \(seed)")
        // All that is held is returned, and every waiter has its turn.
        while let reservation = held.popLast() {
            queue.release(reservation)
            while let waiter = queue.admitNext() { held.append(waiter.wanted) }
        }
        #expect(!queue.hasWaiters && queue.budget.bytes == 0 && queue.budget.requests == 0, "seed \(seed)")
    }
}
