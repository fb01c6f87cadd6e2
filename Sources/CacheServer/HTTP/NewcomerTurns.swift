internal import NIOCore

/// What waits for a turn of a client that is not known yet.
protocol NewcomerWork: AnyObject {
    /// Does a little of it.
    /// - Returns: whether more waits for the next turn.
    func goOn() -> Bool
}

/// The turns of clients that are not known yet: what they send is handled for a short time in each go of the event
/// loop, a little of each, and the rest after what others have sent meanwhile.
///
/// To parse and answer thousands of requests that a hundred clients send without waiting for answers takes longer than
/// a client at work waits for a chunk.
final class NewcomerTurns {
    private let eventLoop: any EventLoop
    private var waiting = CircularBuffer<any NewcomerWork>()
    /// What is left of the time of this turn.
    private var left = NewcomerTurns.time
    private var isScheduled = false

    private static let time = TimeAmount.microseconds(100)
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
        eventLoop.assumeIsolated().scheduleTask(in: Self.pause) { self.turn() }
    }

    private func turn() {
        isScheduled = false
        left = Self.time
        while left > .zero, let work = waiting.popFirst() {
            if spend({ work.goOn() }) { waiting.append(work) }
        }
        if !waiting.isEmpty { schedule() }
    }
}
