internal import CLinux
internal import Glibc

/// Signals that ask a process to end.
package struct SignalSet: Sendable {
    private let set: sigset_t

    /// SIGINT, SIGTERM, SIGHUP and SIGQUIT, without those that the process was started to ignore (`nohup`, or a shell's
    /// background).
    package init() {
        var set = sigset_t()
        sigemptyset(&set)
        for number in [SIGINT, SIGTERM, SIGHUP, SIGQUIT] where !Self.isIgnored(number) { sigaddset(&set, number) }
        self.set = set
    }

    /// For this thread and all that it starts.
    package func block() {
        var set = set
        pthread_sigmask(SIG_BLOCK, &set, nil)
    }

    /// The next signal; `nil` if there is none in time, or something else interrupted the wait.
    package func wait(seconds: Int? = nil) -> Int32? {
        var set = set
        var timeout = timespec(tv_sec: seconds ?? 0, tv_nsec: 0)
        let number = seconds == nil ? sigwaitinfo(&set, nil) : sigtimedwait(&set, nil, &timeout)
        return number > 0 ? number : nil
    }

    /// Whether the process ignores a signal.
    package static func isIgnored(_ number: Int32) -> Bool {
        var action = sigaction()
        guard sigaction(number, nil, &action) == 0 else { return false }
        return unsafeBitCast(action.__sigaction_handler.sa_handler, to: Int.self) == 1
    }

    /// A peer that goes away (SIGPIPE), or a file that may not grow (SIGXFSZ), becomes an error of a write instead of
    /// the end of the process.
    package static func ignoreFailedWrites() {
        signal(SIGPIPE, SIG_IGN)
        signal(SIGXFSZ, SIG_IGN)
    }

    /// Processes that this one starts leave nothing behind when they end, and nobody waits for them.
    package static func forgetChildren() { signal(SIGCHLD, SIG_IGN) }
}
