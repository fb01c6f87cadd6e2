internal import Glibc

/// The time of day.
enum WallClock {
    /// Milliseconds since 1970; 0 on a host whose clock is set to before that.
    static func milliseconds() -> UInt64 {
        var now = timespec()
        clock_gettime(CLOCK_REALTIME, &now)
        guard now.tv_sec >= 0 else { return 0 }
        return UInt64(now.tv_sec) * 1000 + UInt64(now.tv_nsec) / 1_000_000
    }
}
