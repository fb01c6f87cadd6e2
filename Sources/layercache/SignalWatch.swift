import CacheCore
import Synchronization

/// Waits on the main thread for the signals that ask the process to end: whatever all other threads hang in, they are
/// heard.
///
/// The first signal is handed on, so that the verb cleans up after itself. A second one ends the process at once, and
/// so does a verb that seems to hang after the first: one whose process has used no processor for a while is stuck in
/// the kernel, in a call that cannot be cancelled (a filesystem that is away, a disk that does not answer). What it
/// leaves behind then is removed as that of a killed one is.
enum SignalWatch {
    private static let first = Atomic<Int32>(0)

    /// The signal that has asked the process to end; `nil` while none has.
    static var received: Int32? {
        let number = first.load(ordering: .relaxed)
        return number == 0 ? nil : number
    }

    /// Without any use of the processor for so long, a verb that should end is taken for hung.
    private static let mostIdleSeconds = 3
    /// Less than this in a second is no use of it: threads that wait look around now and then.
    private static let idleNanoseconds = 20_000_000
    /// However busy it is.
    private static let mostSeconds = 60

    /// Never returns: without a signal another thread ends the process.
    ///
    /// - Parameters:
    ///   - signals: blocked on all threads, see ``SignalSet/block()``.
    ///   - onFirst: called at the first one.
    static func run(_ signals: SignalSet, onFirst: () -> Void) -> Never {
        var number = signals.wait()
        while number == nil { number = signals.wait() }
        let status = 128 + (number ?? 0)
        first.store(number ?? 0, ordering: .relaxed)
        onFirst()
        var idle = 0
        var used = SystemClock.processorTime()
        for _ in 0..<mostSeconds where idle < mostIdleSeconds {
            if let second = signals.wait(seconds: 1) { CurrentProcess.exitAtOnce(128 + second) }
            let now = SystemClock.processorTime()
            idle = now - used < idleNanoseconds ? idle + 1 : 0
            used = now
        }
        _ = Terminal.write("layercache: interrupted in the middle of a system call that does not return\n", to: .error)
        CurrentProcess.exitAtOnce(status)
    }
}
