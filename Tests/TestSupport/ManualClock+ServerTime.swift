package import CacheServer
import NIOCore

extension ManualClock {
    /// This clock as the time by which a daemon under test goes. Deadlines are looked at every 5 ms of the system's
    /// clock.
    package var serverTime: ServerTime {
        // Far from zero, as the time of a machine that has been up for two weeks.
        let start = NIODeadline.uptimeNanoseconds(1 << 50)
        return ServerTime(tick: .milliseconds(5)) { start + TimeAmount(self.now.offset) }
    }
}
