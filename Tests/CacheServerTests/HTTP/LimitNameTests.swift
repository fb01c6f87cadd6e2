import CacheServer
import Testing

/// The times that users set are those that the daemon keeps.
@Suite struct LimitNameTests {
    @Test func times() {
        var limits = ServerLimits()
        let others = [limits.idleTime, limits.requestTime, limits.lingerTime, limits.drainTime]
        limits.waitTime = .seconds(71)
        #expect(limits.waitTime == .seconds(71))
        #expect([limits.idleTime, limits.requestTime, limits.lingerTime, limits.drainTime] == others)
        limits.idleTime = .seconds(72)
        limits.requestTime = .seconds(73)
        limits.lingerTime = .seconds(74)
        limits.drainTime = .seconds(75)
        #expect(
            [limits.waitTime, limits.idleTime, limits.requestTime, limits.lingerTime, limits.drainTime]
                == (71...75).map { .seconds($0) })
    }
}
