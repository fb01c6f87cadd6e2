internal import NIOConcurrencyHelpers
internal import Synchronization

/// A flag that is set once and for good, when a session's files turn out not to be usable, and tells the session's
/// owner then.
///
/// Reading it is one atomic load: every read of the store looks at it.
final class BreakLatch: Sendable {
    private let flag = Synchronization.Atomic<Bool>(false)
    private let observer = NIOLockedValueBox<(@Sendable (String) -> Void)?>(nil)

    var isSet: Bool { flag.load(ordering: .acquiring) }

    /// Sets the flag; the first call passes `reason` to the observer.
    func set(_ reason: String) {
        if flag.exchange(true, ordering: .acquiringAndReleasing) { return }
        if let body = observer.withLockedValue({ $0.take() }) { body(reason) }
    }

    /// Has `body` called once when the flag is set; at once if it is. There is one observer.
    func whenSet(_ body: @escaping @Sendable (String) -> Void) {
        observer.withLockedValue { $0 = body }
        if isSet, let body = observer.withLockedValue({ $0.take() }) { body("broken when it was opened") }
    }
}
