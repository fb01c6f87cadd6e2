internal import CLinux
internal import Glibc

/// The system's clocks, `clock_gettime(2)`.
package enum SystemClock {
    /// Nanoseconds since 1970, by the clock that gives files their times; negative where it is set to before that.
    package static func now() -> Int64 { nanoseconds(CLOCK_REALTIME) }

    /// Milliseconds since 1970; 0 on a host whose clock is set to before that.
    package static func milliseconds() -> UInt64 { UInt64(max(now(), 0)) / 1_000_000 }

    /// Nanoseconds of a clock that is never set, for durations and deadlines.
    package static func monotonic() -> Int64 { nanoseconds(CLOCK_MONOTONIC) }

    /// Seconds of a clock that is never set and is cheap to read; some milliseconds late.
    package static func monotonicSeconds() -> Int { time(CLOCK_MONOTONIC_COARSE).tv_sec }

    /// Nanoseconds that the thread has used of a processor.
    package static func threadProcessorTime() -> Int64 { nanoseconds(CLOCK_THREAD_CPUTIME_ID) }

    /// Nanoseconds that the process has used of the processors, all threads together.
    package static func processorTime() -> Int64 { nanoseconds(CLOCK_PROCESS_CPUTIME_ID) }

    private static func nanoseconds(_ clock: clockid_t) -> Int64 {
        let time = time(clock)
        return Int64(time.tv_sec) &* 1_000_000_000 &+ Int64(time.tv_nsec)
    }

    private static func time(_ clock: clockid_t) -> timespec {
        var time = timespec()
        clock_gettime(clock, &time)
        return time
    }
}
