import CacheCore
import NIOHTTP1
import TestSupport
import Testing

@testable import CacheClient

/// What decides which daemons are asked: values, whose time moves by hand.
@Suite struct RingTests {
    private static let names = (0..<5).map { "http://10.0.0.\($0 + 1):7070" }

    private static func ids(_ count: Int) -> [ChunkID] {
        (0..<count).map { number in
            withUnsafeBytes(of: number) { ChunkID(ofSealed: $0) }
        }
    }

    private static func owner(_ id: ChunkID, _ names: [String]) -> String {
        names[Rendezvous.order(of: id, among: names)[0].index]
    }

    /// A node that comes takes only what is its own, from all; one that goes leaves its part to all.
    @Test func aNodeThatComesOrGoesMovesOnlyItsShare() {
        let ids = Self.ids(20_000)
        let more = Self.names + ["http://10.0.0.9:7070"]
        var taken: [String: Int] = [:]
        for id in ids {
            let (before, after) = (Self.owner(id, Self.names), Self.owner(id, more))
            if before != after {
                #expect(after == more[5])
                taken[before, default: 0] += 1
            }
        }
        let all = taken.values.reduce(0, +)
        #expect(abs(all - ids.count / 6) < ids.count / 100)
        #expect(taken.count == 5)
        for count in taken.values { #expect(abs(count - all / 5) < all / 10) }
    }

    @Test func theOrderOfAnObjectDoesNotDependOnThatOfTheList() {
        for id in Self.ids(100) {
            let order = Rendezvous.order(of: id, among: Self.names).map { Self.names[$0.index] }
            let turned = Array(Self.names.reversed())
            #expect(Rendezvous.order(of: id, among: turned).map { turned[$0.index] } == order)
            #expect(Set(order).count == 5)
        }
    }

    /// Which objects a daemon that warms up is given has nothing to do with which are its own.
    @Test func pointsAreSpreadEvenlyAmongThoseThatComeFirst() {
        let points = Self.ids(20_000).map { Rendezvous.order(of: $0, among: Self.names)[0].point }
        for share in [0.05, 0.25, 0.5, 0.9] {
            let below = Double(points.count { $0 < share }) / Double(points.count)
            #expect(abs(below - share) < 0.02, "\(share)")
        }
        #expect(points.allSatisfy { (0..<1).contains($0) })
    }

    @Test func warmingUpTakesAsLongAsItWasAway() {
        let new = WarmUp(at: .seconds(10))
        #expect(new.share(now: .seconds(10)) == 0.05)
        #expect(abs(new.share(now: .seconds(40)) - 0.5) < 1e-9)
        #expect(new.share(now: .seconds(70)) == 1)
        let back = WarmUp(at: .seconds(10), away: .seconds(4))
        #expect(abs(back.share(now: .seconds(12)) - 0.5) < 1e-9)
        #expect(back.share(now: .seconds(14)) == 1)
        #expect(back.isYoung(now: .seconds(49)) && !back.isYoung(now: .seconds(50)))
    }

    /// One hot node is found, and chance alone makes none.
    @Test func loadIsBoundedByTheAverageOfAll() {
        let seed = UInt64.random(in: 0 ... .max)
        var generator = SeededGenerator(seed: seed)
        var even = [NodeLoad](repeating: NodeLoad(), count: 5)
        var now = Duration.zero
        for _ in 0..<20_000 {
            let node = Int.random(in: 0..<5, using: &generator)
            even[node].requested()
            even[node].ended(bytes: 512 << 10, now: now)
            now += .microseconds(500)
            let amounts = even.indices.map { even[$0].amount(now: now) }
            let bound = NodeLoad.bound(amounts)
            #expect(amounts.allSatisfy { $0 <= bound }, "seed \(seed)")
        }
        var hot = [NodeLoad](repeating: NodeLoad(), count: 5)
        for _ in 0..<200 {
            hot[0].requested()
            hot[0].ended(bytes: 512 << 10, now: .seconds(3))
        }
        let amounts = hot.indices.map { hot[$0].amount(now: .seconds(3)) }
        #expect(amounts[0] > NodeLoad.bound(amounts))
        // It is forgotten within two seconds.
        let later = hot[0].amount(now: .seconds(5))
        #expect(later == 0)
        #expect(NodeLoad.bound([amounts[0]]) == .max)
    }

    @Test func extraRequestsAreAShareOfThoseThatHadToBe() {
        var extras = L2Extras()
        let early = extras.hedge()
        #expect(!early)
        var retries = 0
        while extras.retry() { retries += 1 }
        #expect(retries == 10)
        var hedges = 0
        for _ in 0..<1_000 {
            extras.read()
            if extras.hedge() { hedges += 1 }
        }
        #expect(hedges == 50 || hedges == 49)
        #expect(extras.hedges == hedges)
        // What is saved up is bounded.
        for _ in 0..<1_000 { extras.read() }
        var burst = 0
        while extras.hedge() { burst += 1 }
        #expect(burst == 10)
    }

    @Test func percentilesAreOfTheLatestAnswers() {
        var times = AnswerTimes()
        for number in 0..<31 { times.add(.milliseconds(number)) }
        #expect(times.high == nil)
        for _ in 0..<300 { times.add(.milliseconds(2)) }
        #expect(times.median == .milliseconds(2))
        for number in 0..<512 { times.add(.milliseconds(number % 256)) }
        #expect(times.median == .milliseconds(128))
        #expect(times.high == .milliseconds(243))
    }

    @Test func whoShedsIsLeftAloneForAsLongAsItSays() {
        var health = L2Health()
        func shed(for duration: Duration, jitter: Double, now: Duration) {
            for _ in 0..<L2Health.failures {
                let admission = health.admit(now: now)
                #expect(admission == .first)
                health.ended(succeeded: nil, now: now)
                health.shed(for: duration, jitter: jitter, now: now)
            }
        }
        // Now and then is no reason to leave it alone.
        for _ in 0..<20 {
            health.shed(for: .seconds(2), jitter: 0.5, now: .zero)
            _ = health.admit(now: .zero)
            health.ended(succeeded: true, now: .zero)
        }
        shed(for: .seconds(2), jitter: 0.5, now: .zero)
        func condition(_ seconds: Int) -> L2Health.Condition { health.condition(now: .seconds(seconds)) }
        #expect(condition(2) == .shedding)
        let admission = health.admit(now: .seconds(2))
        #expect(admission == .no)
        // It comes back gradually, and is left alone for longer if it sheds again.
        #expect(condition(3) == .warming)
        shed(for: .seconds(2), jitter: 0, now: .seconds(4))
        #expect(condition(7) == .shedding)
        #expect(condition(8) != .shedding)
        // Nobody is left alone for ever.
        shed(for: .seconds(3600), jitter: 1, now: .seconds(10))
        #expect(condition(39) == .shedding)
        #expect(condition(40) != .shedding)
    }

    @Test func whoHasAStandInRestsBeforeItRaces() {
        var health = L2Health()
        health.exhausted(hasStandIn: true, now: .zero)
        let early = health.condition(now: L2Health.rest - .milliseconds(1))
        let late = health.condition(now: L2Health.rest)
        #expect(early == .resting && late == .racing)
    }

    /// Late answers make a score, answers in time take it back, and what is late together counts once.
    @Test func whoIsLateTimeAfterTimeStandsOut() {
        let bound = Lateness.bound(.milliseconds(2), slack: .milliseconds(5))
        #expect(bound == .milliseconds(9))
        var now = Duration.zero
        func note(_ took: Duration, _ lateness: inout Lateness) {
            let began = now
            now += took
            lateness.note(took, bound: bound, began: began, now: now)
        }
        // One of seventeen is late, for ever.
        var seldom = Lateness()
        for _ in 0..<1_000 {
            note(.milliseconds(45), &seldom)
            for _ in 0..<17 { note(.milliseconds(9), &seldom) }
        }
        #expect(!seldom.standsOut(among: [0]))
        // Every third.
        var slow = Lateness()
        var rounds = 0
        repeat {
            for _ in 0..<2 { note(.milliseconds(1), &slow) }
            note(.milliseconds(45), &slow)
            rounds += 1
        } while !slow.standsOut(among: [0, 0, 1, 5]) && rounds < 100
        #expect(rounds == 3)
        // Where half of the others are late, too, nobody is an outlier, nor is one alone.
        #expect(!slow.standsOut(among: [0, 0, 5, 5]) && !slow.standsOut(among: [5]) && !slow.standsOut(among: []))
        for _ in 0..<40 { note(.milliseconds(1), &slow) }
        #expect(slow.score == 0)
        // A machine that stands still makes all that is under way late.
        var paused = Lateness()
        for _ in 0..<64 { paused.note(.seconds(1), bound: bound, began: now, now: now + .seconds(1)) }
        #expect(paused.score == 2)
    }

    @Test func halfOfTheRingIsAlwaysAsked() {
        func canSpareOne(_ others: Int, of count: Int) -> Bool {
            RingPace(median: nil, high: nil, scores: [Double](repeating: 0, count: others), count: count).canSpareOne
        }
        #expect(canSpareOne(1, of: 2) && !canSpareOne(1, of: 3) && canSpareOne(2, of: 3))
        #expect(canSpareOne(3, of: 5) && !canSpareOne(2, of: 5))
    }

    /// Who is silent while the others answer is not kept by the fills of many.
    @Test func onlyAStormOverAllDaemonsIsWaitedFor() {
        func patience(_ high: Duration?) -> Duration {
            RingPace(median: nil, high: high, scores: [0], count: 2)
                .patience(.milliseconds(2500), usual: .milliseconds(50), slack: .milliseconds(5))
        }
        #expect(patience(.milliseconds(2)) == .milliseconds(50))
        #expect(patience(.milliseconds(100)) == .milliseconds(410))
        #expect(patience(.seconds(2)) == .milliseconds(2500) && patience(nil) == .milliseconds(2500))
    }

    /// A daemon that has the processor for 5 ms of 50 is well for some requests in a row: those that try it come apart.
    @Test func racesAreSpreadOverTime() {
        for phase in 0..<50 {
            var health = L2Health()
            health.exhausted(hasStandIn: true, now: .zero)
            var now = L2Health.rest + .milliseconds(phase)
            while health.condition(now: now) == .racing, now < .seconds(60) {
                if health.admit(hasStandIn: true, now: now) == .race {
                    let wait = max(45 - (now / .milliseconds(1)).truncatingRemainder(dividingBy: 50), 0)
                    health.raced(won: wait <= 8, now: now)
                }
                now += .milliseconds(1)
            }
            let condition = health.condition(now: now)
            #expect(condition == .resting, "phase \(phase)")
        }
    }

    /// Who is out again soon after it came back rests for longer; who was well for long does not.
    @Test func whoComesBackInVainRestsLonger() {
        var health = L2Health()
        func comeBack(_ start: Duration) -> Duration {
            var now = start
            while health.condition(now: now) == .resting || health.condition(now: now) == .racing {
                if health.admit(hasStandIn: true, now: now) == .race { health.raced(won: true, now: now) }
                now += .milliseconds(10)
            }
            return now
        }
        func rest(_ now: Duration) -> Duration {
            var end = now
            while health.condition(now: end) == .resting { end += .milliseconds(100) }
            return end - now
        }
        health.exhausted(hasStandIn: true, now: .zero)
        var now = comeBack(.zero)
        #expect(now >= L2Health.rest && now < L2Health.rest + .seconds(1))
        now += .seconds(1)
        health.exhausted(hasStandIn: true, now: now)
        let longer = rest(now)
        #expect(longer == L2Health.rest * 2)
        now = comeBack(now) + .seconds(3600)
        health.exhausted(hasStandIn: true, now: now)
        let usual = rest(now)
        #expect(usual == L2Health.rest)
    }

    @Test func retryAfterIsReadWithinBounds() {
        func pause(_ status: HTTPResponseStatus, _ value: String?) -> Duration? {
            let headers: HTTPHeaders = value.map { ["Retry-After": $0] } ?? [:]
            return L2Overload.pause(HTTPResponseHead(version: .http1_1, status: status, headers: headers))
        }
        #expect(pause(.serviceUnavailable, "3") == .seconds(3))
        #expect(pause(.serviceUnavailable, "999999999999") == .seconds(30))
        #expect(pause(.serviceUnavailable, "-3") == .seconds(1))
        #expect(pause(.serviceUnavailable, "Thu, 01 Jan 1970 00:00:00 GMT") == .seconds(1))
        #expect(pause(.serviceUnavailable, nil) == .seconds(1))
        #expect(pause(.tooManyRequests, "0") == .zero)
        #expect(pause(.internalServerError, "3") == nil)
    }
}
