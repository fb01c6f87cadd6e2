/// Reads that failed after a long wait, for as long as the kernel asks on for the same read of a program.
///
/// The kernel reads ahead in many requests, one after the other, and when one fails it asks on for all others, and once
/// more for the first. Each would wait for its own deadline. Those that follow at once, of the same thread and for
/// bytes of the same stretch, fail with the first; what a program asks later is tried again.
struct FailedReads {
    /// How long a read lasts that may bring others down; one that fails faster costs nobody time.
    static let longWait = Duration.milliseconds(500)
    /// The kernel asks on within a millisecond, and later on a busy machine.
    private static let time = Duration.milliseconds(100)
    /// More than the kernel reads ahead.
    private static let reach: UInt64 = 2 << 20

    private struct Failure {
        let number: UInt64
        let offset: UInt64
        let end: Duration
    }

    /// By thread.
    private var failures: [UInt32: Failure] = [:]

    /// A read has failed; bounded by the threads that fail within a moment.
    mutating func add(_ read: FuseReads.Read, after wait: Duration, now: Duration) {
        guard wait >= Self.longWait else { return }
        failures = failures.filter { $0.value.end > now }
        failures[read.thread] = Failure(number: read.number, offset: read.offset, end: now + Self.time)
    }

    /// Whether a read goes on where one has just failed.
    func covers(_ read: FuseReads.Read, now: Duration) -> Bool {
        guard let failure = failures[read.thread] else { return false }
        return now < failure.end && read.number == failure.number && read.offset >= failure.offset
            && read.offset - failure.offset < Self.reach
    }
}
