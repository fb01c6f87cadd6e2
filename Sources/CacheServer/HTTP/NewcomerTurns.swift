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

    private static let time = TimeAmount.microseconds(300)
    private static let pause = TimeAmount.microseconds(50)

    init(on eventLoop: any EventLoop) {
        self.eventLoop = eventLoop
    }

    /// Whether something may be done now.
    var hasTime: Bool { waiting.isEmpty && left > .zero }

    /// Does something in the time of this turn.
    func spend<Result>(_ body: () -> Result) -> Result {
        let began = NIODeadline.now()
        defer {
            left = left - (NIODeadline.now() - began)
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
        // What other clients have sent is read before that.
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
