internal import NIOConcurrencyHelpers

/// One request to L2 on behalf of a read, from being admitted to being judged.
final class L2Attempt: Sendable {
    /// Who is asked.
    let node: L2Node
    /// Whether another daemon or L3 is asked at the same time, so that the read loses nothing.
    let isRace: Bool
    let began: Duration
    /// ``ReadLoad/waited`` when it was admitted.
    let waitedBefore: Duration
    /// Where its request is.
    let line = L2Line()
    private let beside = NIOLockedValueBox<(isAsked: Bool, answeredAfter: Duration?)>((false, nil))

    init(node: L2Node, isRace: Bool, began: Duration, waitedBefore: Duration) {
        self.node = node
        self.isRace = isRace
        self.began = began
        self.waitedBefore = waitedBefore
    }

    /// Another is asked as well from now on: an answer that comes later delays no reader.
    func isNotAlone() { beside.withLockedValue { $0.isAsked = true } }

    /// What is asked beside it has answered.
    func otherAnswered(after duration: Duration) {
        beside.withLockedValue { $0.answeredAfter = $0.answeredAfter ?? duration }
    }

    /// Whether another is asked as well.
    var hasCompany: Bool { beside.withLockedValue { $0.isAsked } }

    /// How long after the beginning the other answered, if it did first.
    var otherLatency: Duration? { beside.withLockedValue { $0.answeredAfter } }
}
