internal import NIOConcurrencyHelpers

/// The configuration of a daemon that runs: parts of it may change under way.
final class LiveConfiguration: Sendable {
    private struct State {
        var current: ServerConfiguration
        var tell: @Sendable (ServerConfiguration) -> Void = { _ in }
    }

    private let atStart: ServerConfiguration
    private let state: NIOLockedValueBox<State>

    init(_ configuration: ServerConfiguration) {
        atStart = configuration
        state = NIOLockedValueBox(State(current: configuration))
    }

    var current: ServerConfiguration { state.withLockedValue { $0.current } }

    /// - Parameter tell: gets each configuration that counts from then on, on any thread, one after the other; at once
    ///   if it has changed already.
    func subscribe(_ tell: @escaping @Sendable (ServerConfiguration) -> Void) {
        state.withLockedValue { state in
            state.tell = tell
            if state.current != atStart { tell(state.current) }
        }
    }

    func take(_ new: ServerConfiguration) -> ServerConfiguration.Changes {
        state.withLockedValue { state in
            let changes = state.current.take(new)
            if !changes.made.isEmpty { state.tell(state.current) }
            return changes
        }
    }
}
