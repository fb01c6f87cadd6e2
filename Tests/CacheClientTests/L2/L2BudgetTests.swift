import CacheCore
import TestSupport
import Testing

@testable import CacheClient

/// What decides whether L2 is asked: patience, health, and what counts as a loss. Time moves by hand.
@Suite struct L2BudgetTests {
    private let clock = ManualClock()
    private var time: TimeSource { TimeSource(clock) }
    private var commons: L2Commons { L2Commons(inLine: .zero, time: time) }

    @Test func patienceComesBackWithTime() {
        var patience = WaitBudget(.seconds(1))
        #expect(patience.left(now: .seconds(10)) == .seconds(1))
        patience.spend(.milliseconds(1500), now: .seconds(10))
        #expect(patience.left(now: .seconds(10)) == .milliseconds(-500))
        #expect(patience.left(now: .seconds(14)) == .milliseconds(500))
        // Never more than there was at first, and nothing is given back.
        #expect(patience.left(now: .seconds(100)) == .seconds(1))
        patience.spend(.seconds(-5), now: .seconds(100))
        #expect(patience.left(now: .seconds(100)) == .seconds(1))
    }

    @Test func theBreakerOpensAndLetsOneTry() {
        let breaker = CircuitBreaker(threshold: 2, rest: .seconds(5), time: time)
        #expect(breaker.admit() == .yes)
        #expect(!breaker.isOpen)
        breaker.failed()
        #expect(breaker.admit() == .yes)
        breaker.failed()
        #expect(breaker.isOpen)
        clock.advance(by: .seconds(4))
        #expect(breaker.admit() == .no)
        clock.advance(by: .seconds(1))
        #expect(breaker.admit() == .probe)
        #expect(breaker.admit() == .no)
        breaker.abandoned()
        #expect(breaker.admit() == .probe)
        breaker.failed()
        clock.advance(by: .seconds(4))
        #expect(breaker.admit() == .no)
        clock.advance(by: .seconds(1))
        #expect(breaker.admit() == .probe)
        breaker.succeeded()
        #expect(breaker.admit() == .yes)
        #expect(breaker.admit() == .yes)
        breaker.open()
        #expect(breaker.admit() == .no)
    }

    @Test func failuresInARowLetItRestLongerEachTime() {
        var health = L2Health()
        var now = Duration.zero
        for _ in 0..<3 {
            #expect(health.admit(now: now) == .first)
            health.ended(succeeded: false, now: now)
        }
        // A late answer is no success, and no failure either.
        _ = health.admit(now: now)
        health.ended(succeeded: nil, now: now)
        for _ in 0..<2 {
            #expect(health.admit(now: now) == .first)
            health.ended(succeeded: false, now: now)
        }
        var rest = L2Health.rest
        for _ in 0..<3 {
            #expect(health.admit(now: now + rest - .milliseconds(1)) == .no)
            now += rest
            // After it a few requests race.
            for _ in 0..<L2Health.races { #expect(health.admit(now: now) == .race) }
            #expect(health.admit(now: now) == .no)
            for _ in 0..<L2Health.races { health.raced(won: false, now: now) }
            rest = rest * 2
        }
    }

    @Test func aSuccessForgetsFailures() {
        var health = L2Health()
        for _ in 0..<20 {
            for _ in 0..<L2Health.failures - 1 {
                #expect(health.admit(now: .zero) == .first)
                health.ended(succeeded: false, now: .zero)
            }
            #expect(health.admit(now: .zero) == .first)
            health.ended(succeeded: true, now: .zero)
        }
    }

    /// One that has cost too much is left out only if it is slower than L3.
    @Test(arguments: [true, false]) func whoHasCostTooMuchRaces(_ wins: Bool) {
        var health = L2Health()
        for _ in 0..<20 { #expect(health.admit(now: .zero) == .first) }
        health.exhausted(now: .zero)
        // What is under way would make the race one with its own queue.
        #expect(health.admit(now: .zero) == .no)
        for _ in 0..<20 { health.ended(succeeded: true, now: .zero) }
        for _ in 0..<L2Health.races { #expect(health.admit(now: .zero) == .race) }
        // A race that was not decided makes room for another.
        health.raced(won: nil, now: .zero)
        #expect(health.admit(now: .zero) == .race)
        for _ in 0..<L2Health.races { health.raced(won: wins, now: .zero) }
        #expect(health.admit(now: .zero) == (wins ? .first : .no))
    }

    /// One request of ten that is late loses few races, and every time that it is trusted costs a wait.
    @Test func whoWinsIsTrustedOnceThereIsPatience() {
        let time = self.time
        let budget = L2Budget(.milliseconds(400), commons, load: ReadLoad(time: time), time: time)
        #expect(budget.nextWaitAt == time.now())
        #expect(!budget.waited(.milliseconds(600), spared: false))
        let ready = budget.nextWaitAt
        #expect(ready > time.now() + .milliseconds(400), "what was lost beyond the account is made up for first")
        var health = L2Health()
        health.exhausted(now: .zero)
        for _ in 0..<L2Health.races { #expect(health.admit(now: time.now()) == .race) }
        for _ in 0..<L2Health.races { health.raced(won: true, budgetAt: ready, now: time.now()) }
        #expect(health.admit(now: ready - .milliseconds(1)) == .no)
        clock.advance(by: ready - time.now() + .microseconds(1))
        #expect(budget.nextWaitAt == time.now())
        #expect(budget.waitForEnd(isLeased: false) >= L2Budget.shortestWait)
        for _ in 0..<L2Health.races { #expect(health.admit(now: time.now()) == .race) }
        for _ in 0..<L2Health.races { health.raced(won: true, budgetAt: budget.nextWaitAt, now: time.now()) }
        #expect(health.admit(now: time.now()) == .first)
    }

    @Test func whatIsLostIsSharedByThoseWhoRead() {
        let load = ReadLoad(time: time)
        let commons = commons
        let budget = L2Budget(.milliseconds(500), commons, load: load, time: time)
        #expect(budget.wait == .milliseconds(250))
        for _ in 0..<10 { load.began(isAhead: true) }
        // An answer within the time of a round trip costs nothing.
        for _ in 0..<100 { #expect(budget.waited(L2Budget.free, spared: false)) }
        #expect(budget.wait == .milliseconds(250))
        #expect(budget.waited(L2Budget.free + .seconds(1), spared: false))
        #expect(budget.wait == .milliseconds(200))
        #expect(budget.waitForEnd(isLeased: false) == .milliseconds(400))
        // A hit spares L3 a read: at least a millisecond, more if L3 is known to be slow.
        #expect(budget.waited(L2Budget.free + .milliseconds(10), spared: true))
        #expect(budget.waitForEnd(isLeased: false) == .milliseconds(400))
        commons.l3Answered(after: .seconds(2))
        #expect(budget.waited(L2Budget.free + .seconds(2), spared: true))
        #expect(budget.waitForEnd(isLeased: false) == .milliseconds(400))
        #expect(!budget.waited(.seconds(9), spared: false))
        #expect(budget.wait == L2Budget.shortestWait)
        #expect(budget.waitForEnd(isLeased: false) == .zero)
        #expect(budget.waitForFill(isLeased: false) == .zero)
        clock.advance(by: .seconds(60))
        #expect(budget.waitForEnd(isLeased: false) == .milliseconds(500))
        // Many small losses are a large one.
        for _ in 0..<600 { #expect(budget.waited(L2Budget.free, spared: false)) }
        #expect(budget.waitForEnd(isLeased: false) == .milliseconds(300))
        clock.advance(by: .seconds(60))
        #expect(budget.waitForEnd(isLeased: false) == .milliseconds(500))
    }

    @Test func fillsLeaveSomethingToReads() {
        let load = ReadLoad(time: time)
        let budget = L2Budget(.seconds(1), commons, load: load, time: time)
        #expect(budget.waitForFill(isLeased: false) == .milliseconds(700))
        budget.waitedForFill(.milliseconds(700), readers: load.readers, isLeased: false)
        #expect(budget.waitForFill(isLeased: false) == .zero)
        #expect(budget.waitForEnd(isLeased: false) == .milliseconds(300))
    }

    @Test func readingAheadCostsNobodyTime() async {
        let load = ReadLoad(time: time)
        load.began(isAhead: true)
        clock.advance(by: .seconds(3))
        #expect(load.waited == .zero)
        #expect(load.readers == 1)
        await load.waiting { clock.advance(by: .seconds(2)) }
        clock.advance(by: .seconds(3))
        load.began(isAhead: false)
        clock.advance(by: .seconds(1))
        #expect(load.waited == .seconds(3))
        #expect(load.readers == 2)
        load.ended(isAhead: false)
        load.ended(isAhead: true)
        clock.advance(by: .seconds(1))
        #expect(load.waited == .seconds(3))
        #expect(load.readers == 1)
    }

    @Test func aBusyMachineIsNoFaultOfATier() {
        let machine = MachineLoad()
        #expect(machine.factor == 1)
        for _ in 0..<200 { machine.note(wall: 3_000_000, core: 1_000_000) }
        #expect(abs(machine.factor - 3) < 0.1)
        // Too short to say anything.
        for _ in 0..<200 { machine.note(wall: 3_000_000, core: 10) }
        #expect(abs(machine.factor - 3) < 0.1)
        for _ in 0..<200 { machine.note(wall: 900_000, core: 1_000_000) }
        #expect(machine.factor < 1.1)
    }

    /// What a pull and its daemon make of two processors is no crowd; 32 pulls are.
    @Test func aCrowdOfOthersIsOne() {
        for ready in 0...12 { #expect(MachineLoad.crowd(ready: ready, processors: 2) == 1) }
        #expect(MachineLoad.crowd(ready: 40, processors: 2) == 15)
        #expect(MachineLoad.crowd(ready: 4_000, processors: 2) == 32)
        #expect(MachineLoad.crowd(ready: 40, processors: 64) == 1)
    }

    @Test func theMachineTellsHowManyAreReady() throws {
        #expect(RunQueue.ready(in: "0.20 0.18 0.12 3/480 11206\n") == 3)
        for line in ["", "0.20 0.18", "a b c d e", "0.20 0.18 0.12 /480 1"] {
            #expect(RunQueue.ready(in: line) == nil)
        }
        let queue = try #require(RunQueue())
        #expect(try #require(queue.ready()) >= 1)
        #expect(queue.processors >= 1)
    }
}
