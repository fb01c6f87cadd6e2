internal import NIOConcurrencyHelpers
internal import NIOCore

/// The connections of one server, on all of its event loops.
final class NBDConnections: Sendable {
    private struct State {
        var handlers: [ObjectIdentifier: NIOLoopBound<NBDHandler>] = [:]
        var isStopped = false
        /// Fulfilled when the last connection is gone, once the server stops.
        var whenEmpty: EventLoopPromise<Void>?
    }

    let limits: NBDLimits
    private let state = NIOLockedValueBox(State())

    init(limits: NBDLimits) { self.limits = limits }

    /// - Returns: false if there is no room for another, or the server stops.
    func add(_ handler: NBDHandler, on eventLoop: any EventLoop) -> Bool {
        let bound = NIOLoopBound(handler, eventLoop: eventLoop)
        return state.withLockedValue { state in
            guard !state.isStopped, state.handlers.count < limits.connections else { return false }
            state.handlers[ObjectIdentifier(handler)] = bound
            return true
        }
    }

    func remove(_ handler: NBDHandler) {
        let promise = state.withLockedValue { state -> EventLoopPromise<Void>? in
            state.handlers[ObjectIdentifier(handler)] = nil
            return state.handlers.isEmpty ? state.whenEmpty.take() : nil
        }
        promise?.succeed()
    }

    /// Takes no more connections, lets those that are there answer what they were asked, and closes them; after
    /// `time` without waiting any longer. Returns when all are gone.
    func stop(within time: Duration, on eventLoop: any EventLoop) async throws {
        let promise = eventLoop.makePromise(of: Void.self)
        let handlers = state.withLockedValue { state in
            state.isStopped = true
            if !state.handlers.isEmpty { state.whenEmpty = promise }
            return Array(state.handlers.values)
        }
        if handlers.isEmpty { promise.succeed() }
        for handler in handlers { handler.eventLoop.execute { handler.value.stop() } }
        let cut = eventLoop.scheduleTask(in: TimeAmount(time)) { [self] in
            for handler in state.withLockedValue({ Array($0.handlers.values) }) {
                handler.eventLoop.execute { handler.value.cut() }
            }
        }
        try await promise.futureResult.get()
        cut.cancel()
    }
}
