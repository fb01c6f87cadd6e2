internal import Glibc

/// What the process has used of the processors so far, all threads together.
package enum ProcessorTime {
    package static func nanoseconds() -> Int {
        var time = timespec()
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
        return time.tv_sec * 1_000_000_000 + time.tv_nsec
    }
}
