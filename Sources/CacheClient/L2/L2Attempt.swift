internal import NIOConcurrencyHelpers

/// One request to L2 on behalf of a read, from being admitted to being judged.
final class L2Attempt: Sendable {
    /// Which of the daemons is asked.
    let node: Int
    /// Whether L3 is asked at the same time, so that the read loses nothing.
    let isRace: Bool
    let began: Duration
    /// ``ReadLoad/waited`` when it was admitted.
    let waitedBefore: Duration
    /// Where its request is.
    let line = L2Line()
    private let beside = NIOLockedValueBox<(isAsked: Bool, answeredAfter: Duration?)>((false, nil))

    init(node: Int, isRace: Bool, began: Duration, waitedBefore: Duration) {
        self.node = node
        self.isRace = isRace
        self.began = began
        self.waitedBefore = waitedBefore
    }

    /// L3 is asked as well from now on: an answer of L2 that comes later delays no reader.
    func l3IsAsked() { beside.withLockedValue { $0.isAsked = true } }

    func l3Answered(after duration: Duration) { beside.withLockedValue { $0.answeredAfter = duration } }

    var isBesideL3: Bool { beside.withLockedValue { $0.isAsked } }

    /// How long after the beginning L3 answered, if it did before L2.
    var l3Latency: Duration? { beside.withLockedValue { $0.answeredAfter } }
}
