internal import NIOCore

/// A request that waits for another client's fill.
extension ConnectionStateMachine {
    /// When the request stands in line no longer; `nil` if it would not stand there, or not any more.
    func lineEnd(at now: NIODeadline) -> NIODeadline? {
        guard let request, let wait = request.plan.lease.wait, wait > 0, !isStopping, !input.isEnded else { return nil }
        let end = request.lineEnd ?? now + min(TimeAmount.seconds(Int64(wait)), TimeAmount(limits.timeouts.leaseWait))
        return end > now ? end : nil
    }

    /// The request stands in line under `number`, until `end`.
    mutating func stoodInLine(_ number: UInt64, until end: NIODeadline) {
        phase = .inLine
        request?.placeInLine = number
        request?.lineEnd = end
        deadline = end
    }

    /// Whether the request still stands in line under `number`.
    func isInLine(_ number: UInt64) -> Bool { phase == .inLine && request?.placeInLine == number && !isEnding }

    /// The wait is over: from `now` on the request has the time of a new one.
    mutating func waitEnded(at now: NIODeadline) {
        request?.placeInLine = nil
        request?.started = now
        deadline = now + TimeAmount(limits.timeouts.request)
    }

    /// The request is carried out again: its chunk has come.
    mutating func lookAgain(at now: NIODeadline) -> Action? {
        waitEnded(at: now)
        phase = .receiving
        return (request?.plan.operation).map { .perform($0) }
    }

    /// Whether a chunk that has come just now may have the request look again: it does so once.
    var canLookAgain: Bool { request?.hasLookedAgain == false }

    mutating func looksAgain() { request?.hasLookedAgain = true }
}
