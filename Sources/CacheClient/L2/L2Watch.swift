internal import CacheCore
internal import NIOConcurrencyHelpers

/// The deadline of one exchange with L2, which is another one once the request is in line for a fill.
final class L2Watch: Sendable {
    private struct State {
        var alarm: Deadlines.Alarm?
        var isInLine = false
        var isOver = false
    }

    private let request: (longest: Duration, line: L2Line)?
    private let lines: L2Lines
    private let deadlines: Deadlines
    private let expire: @Sendable () -> Void
    private let state: NIOLockedValueBox<State>

    /// - Parameter expire: is called when the time is over, unless ``end()`` was before.
    init(
        _ request: (longest: Duration, line: L2Line)?, _ lines: L2Lines, _ deadlines: Deadlines, end: Duration,
        expire: @escaping @Sendable () -> Void
    ) {
        self.request = request
        self.lines = lines
        self.deadlines = deadlines
        self.expire = expire
        state = NIOLockedValueBox(State(alarm: deadlines.after(end - deadlines.time.now(), expire)))
    }

    /// The daemon has said that the request is in line, where it may be as long as it has asked for.
    /// - Parameter duration: that the answer may take when that is over.
    func isInLine(_ duration: Duration) {
        guard let request, request.longest > .zero else { return }
        state.withLockedValue { state in
            guard !state.isOver, !state.isInLine else { return }
            state.isInLine = true
            lines.entered()
            request.line.began(at: deadlines.time.now())
            if let alarm = state.alarm { deadlines.cancel(alarm) }
            state.alarm = deadlines.after(request.longest + duration, expire)
        }
    }

    func end() {
        state.withLockedValue { state in
            state.isOver = true
            if let alarm = state.alarm { deadlines.cancel(alarm) }
            guard state.isInLine else { return }
            let now = deadlines.time.now()
            lines.left(at: now)
            request?.line.left(at: now)
        }
    }
}
