internal import CacheCore
internal import NIOConcurrencyHelpers

/// The deadline of one exchange with L2, which is another one once the request is in line for a fill, and later on a
/// machine that has become busy since.
final class L2Watch: Sendable {
    private struct State {
        /// Since when the answer may take as long as ``allowed`` says.
        var start: Duration
        var alarm: Deadlines.Alarm?
        var isInLine = false
        var isOver = false
    }

    private let request: (longest: Duration, line: L2Line)?
    private let lines: L2Lines
    private let deadlines: Deadlines
    private let allowed: @Sendable () -> Duration
    private let expire: @Sendable () -> Void
    private let state: NIOLockedValueBox<State>

    /// - Parameters:
    ///   - allowed: how long the answer may take, by what is known now.
    ///   - expire: is called when the time is over, unless ``end()`` was before.
    init(
        _ request: (longest: Duration, line: L2Line)?, _ lines: L2Lines, _ deadlines: Deadlines, from start: Duration,
        allowed: @escaping @Sendable () -> Duration, expire: @escaping @Sendable () -> Void
    ) {
        self.request = request
        self.lines = lines
        self.deadlines = deadlines
        self.allowed = allowed
        self.expire = expire
        state = NIOLockedValueBox(State(start: start))
        state.withLockedValue { setAlarm(&$0) }
    }

    /// The daemon has said that the request is in line, where it may be as long as it has asked for.
    func isInLine() {
        guard let request, request.longest > .zero else { return }
        state.withLockedValue { state in
            guard !state.isOver, !state.isInLine else { return }
            let now = deadlines.time.now()
            state.isInLine = true
            state.start = now + request.longest
            lines.entered()
            request.line.began(at: now)
            setAlarm(&state)
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

    private func setAlarm(_ state: inout State) {
        if let alarm = state.alarm { deadlines.cancel(alarm) }
        // Held weakly: an exchange that is over needs no watch.
        state.alarm = deadlines.after(state.start + allowed() - deadlines.time.now()) { [weak self] in self?.rang() }
    }

    private func rang() {
        let isOver = state.withLockedValue { state in
            guard !state.isOver else { return false }
            guard state.start + allowed() > deadlines.time.now() else { return true }
            setAlarm(&state)
            return false
        }
        if isOver { expire() }
    }
}
