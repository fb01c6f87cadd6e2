internal import NIOConcurrencyHelpers

/// Timeouts: bounds how long callers wait for operations that may never come back, such as a read from a hung disk.
///
/// One task looks at all waits under way, every 10 ms or when the next one is over, and only while there are any. With
/// a sleeping task for each wait, those of thousands of short reads would outlive the reads by seconds.
package final class Deadlines: Sendable {
    /// A wait that ``after(_:_:)`` began, to cancel it by.
    package struct Alarm: Hashable, Sendable {
        fileprivate let number: UInt64
    }

    private struct Wait {
        let end: Duration
        let expire: @Sendable () -> Void
    }

    private struct State {
        var waits: [Alarm: Wait] = [:]
        var nextNumber: UInt64 = 0
        var isTicking = false
    }

    private static let tick = (shortest: Duration.milliseconds(1), longest: Duration.milliseconds(10))
    /// A tick that takes so much longer than it should says that this process was not run.
    private static let late = Duration.milliseconds(90)
    private let state = NIOLockedValueBox(State())
    private let atTick: @Sendable () -> Void
    /// The clock that all deadlines go by.
    package let time: TimeSource

    /// - Parameter atTick: is called every 10 ms while there are waits; must be short.
    package init(time: TimeSource = .system, atTick: @escaping @Sendable () -> Void = {}) {
        self.time = time
        self.atTick = atTick
    }

    /// The result of `operation`, or `.timedOut` once `duration` has passed, give or take 10 ms.
    ///
    /// The operation is cancelled then, and also if the caller is, but in neither case waited for: a system call that
    /// hangs keeps its own thread, never the caller. Costs one task.
    package func run<T: Sendable>(
        _ duration: Duration, _ what: @autoclosure @escaping @Sendable () -> String,
        _ operation: @escaping @Sendable () async throws -> T
    ) async throws -> T {
        let once = ResumeOnce<T>()
        let alarm = after(duration) {
            once.resume(.failure(CacheError(.timedOut, "\(what()) did not answer within \(duration)")))
        }
        let work = Task {
            do { once.resume(.success(try await operation())) } catch { once.resume(.failure(error)) }
        }
        defer {
            cancel(alarm)
            work.cancel()
        }
        return try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { once.wait($0) }
        } onCancel: {
            once.resume(.failure(CancellationError()))
        }
    }

    /// Calls `expire` once `duration` has passed, give or take 10 ms, unless it is called off before. `expire` must be
    /// short.
    package func after(_ duration: Duration, _ expire: @escaping @Sendable () -> Void) -> Alarm {
        let end = time.now() + duration
        return state.withLockedValue { state in
            state.nextNumber += 1
            let alarm = Alarm(number: state.nextNumber)
            state.waits[alarm] = Wait(end: end, expire: expire)
            if !state.isTicking {
                state.isTicking = true
                Task { await self.watch() }
            }
            return alarm
        }
    }

    /// Calls an alarm off. One whose time is over may be on its way already.
    package func cancel(_ alarm: Alarm) {
        _ = state.withLockedValue { $0.waits.removeValue(forKey: alarm) }
    }

    private var nextTick: Duration {
        let next = state.withLockedValue { $0.waits.values.lazy.map(\.end).min() }
        guard let next else { return Self.tick.longest }
        return min(max(next - time.now(), Self.tick.shortest), Self.tick.longest)
    }

    private func watch() async {
        while true {
            // No code cancels this task, so the sleep cannot fail.
            let (began, tick) = (time.now(), nextTick)
            try? await time.sleep(tick)
            // Answers may have come meanwhile that nobody has read: their readers go first.
            if time.now() - began > tick + Self.late { try? await Task.sleep(for: Self.tick.longest) }
            atTick()
            let now = time.now()
            let (expired, isDone) = state.withLockedValue { state -> ([Wait], Bool) in
                if state.waits.isEmpty { state.isTicking = false }
                let expired = state.waits.filter { $0.value.end <= now }
                for alarm in expired.keys { state.waits[alarm] = nil }
                return (Array(expired.values), !state.isTicking)
            }
            for wait in expired { wait.expire() }
            if isDone { return }
        }
    }
}

/// A continuation that several may try to resume: the first result counts.
private final class ResumeOnce<T: Sendable>: Sendable {
    private enum State {
        case empty
        case waiting(CheckedContinuation<T, any Error>)
        case early(Result<T, any Error>)
        case done
    }

    private let state = NIOLockedValueBox(State.empty)

    func wait(_ continuation: CheckedContinuation<T, any Error>) {
        let result: Result<T, any Error>? = state.withLockedValue { state in
            if case .early(let result) = state {
                state = .done
                return result
            }
            state = .waiting(continuation)
            return nil
        }
        if let result { continuation.resume(with: result) }
    }

    func resume(_ result: Result<T, any Error>) {
        let continuation: CheckedContinuation<T, any Error>? = state.withLockedValue { state in
            switch state {
            case .empty:
                state = .early(result)
                return nil
            case .waiting(let continuation):
                state = .done
                return continuation
            case .early, .done:
                return nil
            }
        }
        continuation?.resume(with: result)
    }
}
