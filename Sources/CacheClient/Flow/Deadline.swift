internal import CacheCore
internal import NIOConcurrencyHelpers

/// Bounds how long a caller waits for an operation that may never come back, such as a read from a hung disk.
enum Deadline {
    /// The result of `operation`, or `.timedOut` once `duration` has passed.
    ///
    /// The operation is cancelled then, but not waited for: a system call that hangs keeps its own thread, never the caller.
    /// Costs two tasks, a few microseconds.
    static func run<T: Sendable>(
        _ duration: Duration, _ what: @autoclosure @escaping @Sendable () -> String,
        _ operation: @escaping @Sendable () async throws -> T
    ) async throws -> T {
        let once = ResumeOnce<T>()
        let work = Task {
            do { once.resume(.success(try await operation())) } catch { once.resume(.failure(error)) }
        }
        let timer = Task {
            do { try await Task.sleep(for: duration) } catch { return }
            once.resume(.failure(CacheError(.timedOut, "\(what()) did not answer within \(duration)")))
        }
        defer {
            timer.cancel()
            work.cancel()
        }
        return try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { once.wait($0) }
        } onCancel: {
            once.resume(.failure(CancellationError()))
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
