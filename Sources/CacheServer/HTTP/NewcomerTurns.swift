internal import NIOCore

/// What waits for a turn of a client that is not known yet.
protocol NewcomerWork: AnyObject {
    /// Does a little of it.
    /// - Returns: whether more waits for the next turn.
    func goOn() -> Bool
}

/// The turns of clients that are not known yet: what they send is handled for a short time in each go of the event
/// loop, a little of each, and the rest after what others have sent meanwhile. That is a fifth of all time.
///
/// To parse and answer thousands of requests that a hundred clients send without waiting for answers takes longer than
/// a client at work waits for a chunk.
final class NewcomerTurns {
    private let eventLoop: any EventLoop
    private var waiting = CircularBuffer<any NewcomerWork>()
    /// What is left of the time of this turn.
    private var left = NewcomerTurns.time
    private var isScheduled = false
    private var scheduledAt = NIODeadline.uptimeNanoseconds(0)

    private static let time = TimeAmount.microseconds(100)
    /// A turn that comes late, because others have much to do, gets a fifth of the time that they had: with a few
    /// requests of each go, hundreds of clients would wait for a tenth of a second before they are known.
    private static let share: Int64 = 5
    private static let longest = TimeAmount.milliseconds(1)
    /// What a piece of work counts for at least: it may lead to more when it is over.
    private static let least = TimeAmount.microseconds(25)
    /// Long enough that the event loop has come to what others have sent: it does not as long as tasks follow tasks.
    private static let pause = TimeAmount.microseconds(400)

    init(on eventLoop: any EventLoop) {
        self.eventLoop = eventLoop
    }

    /// Whether something may be done now.
    var hasTime: Bool { waiting.isEmpty && left > .zero }

    /// Does something in the time of this turn.
    func spend<Result>(_ body: () -> Result) -> Result {
        let began = NIODeadline.now()
        defer {
            left = left - max(NIODeadline.now() - began, Self.least)
            schedule()
        }
        return body()
    }

    /// Has work wait for its turn.
    func wait(_ work: any NewcomerWork) {
        waiting.append(work)
        schedule()
    }

    private func schedule() {
        guard !isScheduled else { return }
        isScheduled = true
        scheduledAt = .now()
        eventLoop.assumeIsolated().scheduleTask(in: Self.pause) { self.turn() }
    }

    private func turn() {
        isScheduled = false
        let passed = NIODeadline.now() - scheduledAt
        left = min(max(.nanoseconds(passed.nanoseconds / Self.share), Self.time), Self.longest)
        while left > .zero, let work = waiting.popFirst() {
            if spend({ work.goOn() }) { waiting.append(work) }
        }
        if !waiting.isEmpty { schedule() }
    }
}
