import CacheCore
import NIOCore
import Testing

@testable import CacheServer

/// Who fills and who waits, as a value: time moves by hand.
struct LeaseTableTests {
    private let id = TestChunk(seed: 1).id
    private let other = TestChunk(seed: 2).id
    private let start = NIODeadline.uptimeNanoseconds(1 << 40)

    private func table(_ adjust: (inout ServerLimits) -> Void = { _ in }) -> LeaseTable<Int> {
        var limits = ServerLimits()
        adjust(&limits)
        return LeaseTable(limits: limits)
    }

    @Test func oneHasTheLeaseAndTheOthersGetTheChunk() {
        var table = table()
        let holder = table.ask(id, waiting: 0, looksAgain: true, at: start)
        #expect(holder.token != nil)
        for client in 1...3 { #expect(table.ask(id, waiting: client, looksAgain: true, at: start).number != nil) }
        #expect(table.ask(id, waiting: nil, looksAgain: true, at: start).isNo)
        #expect(table.ask(other, waiting: nil, looksAgain: true, at: start).token != nil)
        #expect(table.usage.leases == 2 && table.usage.waiters == 3)
        #expect(table.filled(id).map(\.client) == [1, 2, 3])
        #expect(table.usage.leases == 1 && table.usage.waiters == 0 && table.usage.waitsFilled == 3)
        // Who missed it just before looks again, once.
        #expect(table.ask(id, waiting: 4, looksAgain: true, at: start).isJustFilled)
        #expect(table.ask(id, waiting: 4, looksAgain: false, at: start).token != nil)
    }

    @Test func aLeaseThatExpiresPassesOn() throws {
        var table = table()
        let first = try #require(table.ask(id, waiting: 0, looksAgain: true, at: start).token)
        let left = try #require(table.ask(id, waiting: 1, looksAgain: true, at: start).number)
        _ = table.ask(id, waiting: 2, looksAgain: true, at: start)
        _ = table.ask(id, waiting: 3, looksAgain: true, at: start)
        table.leave(id, left)
        table.leave(id, left)
        #expect(table.expire(at: start + .milliseconds(2_999)).isEmpty)
        // What had come in time, and is read between two looks, counts.
        #expect(table.expire(at: start + .seconds(3)).isEmpty)
        let next = try #require(table.expire(at: start + .seconds(3)).first)
        #expect(next.waiter.client == 2)
        #expect(next.token != first)
        // The time of the new holder begins anew.
        for _ in 0..<2 { #expect(table.expire(at: start + .seconds(5)).isEmpty) }
        #expect(table.expire(at: start + .seconds(6)).isEmpty)
        #expect(table.expire(at: start + .seconds(6)).map(\.waiter.client) == [3])
        for _ in 0..<2 { #expect(table.expire(at: start + .seconds(9)).isEmpty) }
        let usage = table.usage
        #expect(usage.leases == 0 && usage.waiters == 0)
        #expect(usage.expired == 3 && usage.given == 3 && usage.waitsLeased == 2 && usage.waitsInVain == 1)
        // One that nobody waits for is given to the next who asks.
        _ = table.ask(id, waiting: 0, looksAgain: true, at: start)
        #expect(table.ask(id, waiting: 1, looksAgain: true, at: start + .seconds(3)).token != nil)
    }

    private func worker(_ digit: String, in table: inout LeaseTable<Int>) throws -> LeaseWorker {
        table.join(try #require(LeaseWorker.Name(String(repeating: digit, count: 32))), at: start)
    }

    /// The holder's machine may be so busy that a fill takes long; while it is heard it is alive.
    @Test func aLeaseLastsWhileItsWorkerIsHeard() throws {
        var table = table()
        let holder = try worker("a", in: &table)
        let token = try #require(table.ask(id, .init(worker: holder), at: start).token)
        _ = table.ask(id, waiting: 1, looksAgain: true, at: start)
        var now = start
        for _ in 0..<13 {
            now = now + .seconds(2)
            holder.hear(at: now)
            for _ in 0..<2 { #expect(table.expire(at: now + .seconds(1)).isEmpty) }
            #expect(table.isHeld(id, token))
        }
        // Not for ever: what it reads may hang.
        holder.hear(at: start + .seconds(29))
        _ = table.expire(at: start + .seconds(30))
        #expect(table.expire(at: start + .seconds(30)).map(\.waiter.client) == [1])
        #expect(!table.isHeld(id, token))
    }

    @Test func aWorkerThatStopsIsNotHeard() throws {
        var table = table()
        let holder = try worker("a", in: &table)
        _ = table.ask(id, .init(worker: holder), at: start)
        _ = table.ask(id, waiting: 1, looksAgain: true, at: start)
        holder.hear(at: start + .seconds(1))
        for _ in 0..<2 { #expect(table.expire(at: start + .milliseconds(3_999)).isEmpty) }
        _ = table.expire(at: start + .seconds(4))
        #expect(table.expire(at: start + .seconds(4)).map(\.waiter.client) == [1])
    }

    @Test func allLeasesOfAWorkerThatIsGonePassOn() throws {
        var table = table()
        let holder = try worker("a", in: &table)
        #expect(try worker("a", in: &table) === holder)
        for chunk in [id, other] { _ = table.ask(chunk, .init(worker: holder), at: start) }
        _ = table.ask(id, waiting: 1, looksAgain: true, at: start)
        #expect(table.depart(holder, isByClient: true, at: start).isEmpty)
        #expect(table.usage.leases == 2)
        #expect(table.depart(holder, isByClient: true, at: start).map(\.waiter.client) == [1])
        #expect(table.usage.leases == 1 && table.usage.givenUp == 2)
        // It is forgotten.
        #expect(try worker("a", in: &table) !== holder)
        // One whose connections the daemon has closed may come again.
        var second = self.table()
        let evicted = try worker("b", in: &second)
        let token = try #require(second.ask(id, .init(worker: evicted), at: start).token)
        #expect(second.depart(evicted, isByClient: false, at: start).isEmpty)
        #expect(second.isHeld(id, token))
        #expect(try worker("b", in: &second) === evicted)
    }

    /// Who may only read has others' fills, and holds nobody up.
    @Test func readersStandInLineAndNeverHoldALease() throws {
        var table = table()
        let reader = LeaseTable<Int>.Asker(client: 7, mayFill: false)
        #expect(table.ask(id, reader, at: start).isNo)
        let token = try #require(table.ask(id, waiting: 0, looksAgain: true, at: start).token)
        #expect(table.ask(id, reader, at: start).number != nil)
        // Nobody in line may fill: the next who may does, and the reader waits on.
        guard case .ended = table.giveUp(id, token, at: start) else {
            Issue.record("a reader got a lease")
            return
        }
        #expect(table.usage.leases == 0 && table.usage.waiters == 1)
        #expect(table.ask(id, reader, at: start).isNo)
        #expect(table.ask(id, waiting: 1, looksAgain: true, at: start).token != nil)
        #expect(table.ask(id, waiting: 2, looksAgain: true, at: start).number != nil)
        _ = table.expire(at: start + .seconds(3))
        #expect(table.expire(at: start + .seconds(3)).map(\.waiter.client) == [2])
        #expect(table.filled(id).map(\.client) == [7])
        // A line of readers that all leave is no line.
        let second = try #require(table.ask(other, waiting: 0, looksAgain: true, at: start).token)
        let place = try #require(table.ask(other, reader, at: start).number)
        _ = table.giveUp(other, second, at: start)
        table.leave(other, place)
        #expect(table.usage.waiters == 0)
    }

    @Test func onlyItsHolderGivesALeaseUp() throws {
        var table = table()
        let first = try #require(table.ask(id, waiting: 0, looksAgain: true, at: start).token)
        _ = table.ask(id, waiting: 1, looksAgain: true, at: start)
        let before = table.usage
        for (chunk, token) in [(id, LeaseToken.random()), (other, first)] {
            guard case .notHeld = table.giveUp(chunk, token, at: start) else {
                Issue.record("a token that is not the holder's")
                continue
            }
        }
        #expect(table.usage == before)
        guard case .handedOn(let next) = table.giveUp(id, first, at: start) else {
            Issue.record("the lease did not pass on")
            return
        }
        #expect(next.waiter.client == 1)
        // It counts no more, now that another has the lease.
        guard case .notHeld = table.giveUp(id, first, at: start) else {
            Issue.record("a lease was given up twice")
            return
        }
        guard case .ended = table.giveUp(id, next.token, at: start) else {
            Issue.record("the lease has not ended")
            return
        }
        #expect(table.usage.leases == 0)
    }

    @Test func everythingIsBounded() {
        var table = table {
            $0.leases = 2
            $0.leaseWaiters.perChunk = 2
            $0.leaseWaiters.total = 3
        }
        let chunks = (1...3).map { TestChunk(seed: $0).id }
        let leases = chunks.map { table.ask($0, waiting: 0, looksAgain: true, at: start).token != nil }
        #expect(leases == [true, true, false])
        let waits = [0, 0, 0, 1, 1].map { table.ask(chunks[$0], waiting: 1, looksAgain: true, at: start).number != nil }
        #expect(waits == [true, true, false, true, false])
        #expect(table.usage.refused == 3)
        // Room that is given back is used again.
        #expect(table.filled(chunks[0]).count == 2)
        #expect(table.ask(chunks[2], waiting: 0, looksAgain: true, at: start).token != nil)
        #expect(table.ask(chunks[1], waiting: 0, looksAgain: true, at: start).number != nil)
    }

    @Test func recentFillsAreBounded() {
        var recent = RecentFills(limit: 2)
        let ids = (1...3).map { TestChunk(seed: $0).id }
        for id in ids + [ids[2]] { recent.insert(id) }
        #expect(ids.map { recent.contains($0) } == [false, true, true])
    }

    @Test func tokensAreText() {
        let token = LeaseToken.random()
        #expect(LeaseToken(token.text) == token)
        #expect(token.text.utf8.count == 32)
        #expect(LeaseToken(String(repeating: "0", count: 32))?.text == String(repeating: "0", count: 32))
        for text in ["", "x", token.text + "0", "+" + token.text.dropLast(), String(repeating: "-", count: 32)] {
            #expect(LeaseToken(text) == nil)
        }
    }

    @Test func preferencesAreRead() {
        func wait(_ values: String...) -> (Int?, Bool) {
            var fields = LeaseFields()
            for value in values { fields.notePrefer(value) }
            return (fields.wait, fields.wantsProcessing)
        }
        #expect(wait("wait=5") == (5, false))
        #expect(wait("respond-async, WAIT = 10 ,processing") == (10, true))
        #expect(wait("handling=lenient") == (nil, false))
        #expect(wait("wait", "wait=", "wait=-1", "wait=1.5", "wait=x") == (nil, false))
        #expect(wait("wait=0") == (0, false))
        #expect(wait("wait=99999999999999999999999") == (86_400, false))
    }
}

extension LeaseTable<Int> {
    fileprivate mutating func ask(
        _ id: ChunkID, waiting client: Int?, looksAgain: Bool, at now: NIODeadline
    ) -> Answer {
        ask(id, Asker(client: client, looksAgain: looksAgain), at: now)
    }
}

extension LeaseTable.Answer {
    fileprivate var token: LeaseToken? { if case .lease(let token) = self { token } else { nil } }
    fileprivate var number: UInt64? { if case .inLine(let number) = self { number } else { nil } }
    fileprivate var isJustFilled: Bool { if case .justFilled = self { true } else { false } }
    fileprivate var isNo: Bool { if case .no = self { true } else { false } }
}
