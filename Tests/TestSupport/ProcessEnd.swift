import Foundation
import Glibc
import NIOConcurrencyHelpers
import Synchronization

/// The end of a child process: a thread waits for it, so that nothing has to look again and again.
final class ProcessEnd: Sendable {
    private struct State {
        var status: Int32?
        var waiting: [@Sendable (Int32) -> Void] = []
    }

    let pid: pid_t
    private let state = Mutex(State())

    init(of pid: pid_t) {
        self.pid = pid
        Thread.detachNewThread { [self] in
            Self.waitForEnd(pid)
            collect()
        }
    }

    /// Its wait status once it has ended. Reaped under the lock, so that no signal goes to a stranger with the same
    /// number.
    @discardableResult
    func collect() -> Int32? {
        let (status, waiting) = state.withLock { state -> (Int32?, [@Sendable (Int32) -> Void]) in
            if state.status == nil {
                var status: Int32 = 0
                if waitpid(pid, &status, WNOHANG) == pid { state.status = status }
            }
            guard state.status != nil else { return (nil, []) }
            defer { state.waiting = [] }
            return (state.status, state.waiting)
        }
        if let status { for tell in waiting { tell(status) } }
        return status
    }

    /// Waits for the end; its wait status.
    func status() async -> Int32 {
        await withCheckedContinuation { continuation in
            whenEnded { continuation.resume(returning: $0) }
        }
    }

    /// Blocks until the end; its wait status, or `nil` if it has not ended after `seconds`.
    func blockForStatus(atMost seconds: Double) -> Int32? {
        let hasEnded = ConditionLock(value: false)
        whenEnded { _ in
            hasEnded.lock()
            hasEnded.unlock(withValue: true)
        }
        guard hasEnded.lock(whenValue: true, timeoutSeconds: seconds) else { return nil }
        hasEnded.unlock()
        return collect()
    }

    /// Calls `tell` with the wait status once it has ended: at once, or from another thread.
    private func whenEnded(_ tell: @escaping @Sendable (Int32) -> Void) {
        let status = state.withLock { state in
            if state.status == nil { state.waiting.append(tell) }
            return state.status
        }
        if let status { tell(status) }
    }

    func signal(_ number: Int32) {
        state.withLock { if $0.status == nil { Glibc.kill(pid, number) } }
    }

    /// Ends it with SIGKILL and waits for that; whether there was anything to end.
    @discardableResult
    func force() -> Bool {
        guard collect() == nil else { return false }
        signal(SIGKILL)
        Self.waitForEnd(pid)
        collect()
        return true
    }

    /// Blocks until it has ended, and leaves its status where it is.
    private static func waitForEnd(_ pid: pid_t) {
        var info = siginfo_t()
        while waitid(P_PID, id_t(pid), &info, WEXITED | WNOWAIT) == -1, errno == EINTR {}
    }
}
