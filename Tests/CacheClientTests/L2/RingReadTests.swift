import CacheCore
import CacheServer
import Foundation
import Glibc
import NIOCore
import TestSupport
import Testing

@testable import CacheClient

/// Readers beside daemons that come, go, stop and shed. The daemons are the built binary, or in this process.
@Suite(.timeLimit(.minutes(10))) struct RingReadTests {
    private static let chunks = 32
    private static let chunkBytes = ChunkLimits.plainBytes

    private func withDaemons<R>(
        _ count: Int, in fixture: ClientFixture, _ body: ([Daemon]) async throws -> R
    ) async throws -> R {
        var daemons: [Daemon] = []
        for number in 0..<count {
            daemons.append(try await Daemon(store: fixture("l2-\(number)"), memory: "64MiB", in: fixture.path))
        }
        defer {
            for daemon in daemons {
                daemon.process.signal(SIGCONT)
                daemon.kill()
            }
        }
        return try await body(daemons)
    }

    private func fill(_ urls: [String], _ fixture: ClientFixture, _ content: [UInt8]) async throws {
        try await fixture.withCache(l2: urls) { try await fixture.expect(content, from: $0) }
    }

    private func read(_ image: CachedImage, _ number: Int) async throws -> [UInt8] {
        var buffer = ByteBuffer()
        try await image.layers[0].read(
            at: RegionAddress(slot: UInt64(number)), count: Self.chunkBytes, into: &buffer)
        return Array(buffer.readableBytesView)
    }

    private func piece(_ content: [UInt8], _ number: Int) -> [UInt8] {
        Array(content[number * Self.chunkBytes..<(number + 1) * Self.chunkBytes])
    }

    private func expectAll(_ content: [UInt8], _ image: CachedImage) async throws {
        for number in 0..<Self.chunks {
            let got = try await read(image, number)
            #expect(got == piece(content, number))
        }
    }

    private func waiting(_ server: TestServer) async throws -> Int {
        let text = try await L2Statistics.fetch(from: server.url)
        return try JSONDecoder().decode(ServerStatistics.self, from: Data(text.utf8)).leases.waiting
    }

    /// The others serve what they have, what only the dead one had comes from L3 once, and no reader is told.
    @Test func aNodeThatDiesCostsItsShareOnce() async throws {
        let fixture = try ClientFixture()
        let content = fixture.bytes(Self.chunks * Self.chunkBytes)
        try await fixture.push(content)
        try await withDaemons(3, in: fixture) { daemons in
            let urls = daemons.map(\.url)
            try await fill(urls, fixture, content)
            var lost = 0
            try await fixture.withCache(l2: urls) { cache in
                let counts = try await fixture.expect(content, from: cache)
                #expect(counts.l3.chunks == 0)
                let refs = try await fixture.image(cache).layers[0].manifest.distinctRefs
                let names = urls.sorted()
                lost = refs.count { !$0.isZero && names[Rendezvous.order(of: $0.id, among: names)[0].index] == urls[1] }
                let nodes = try #require(cache.l2Statistics).nodes
                #expect(nodes.map(\.node) == names)
                #expect(nodes.allSatisfy { $0.state == "trusted" && $0.requests > 0 && $0.hits > 0 && $0.errors == 0 })
                #expect(abs(nodes.reduce(0) { $0 + $1.share } - 1) < 1e-9)
            }
            daemons[1].kill()
            var left: [Int] = []
            for _ in 0..<3 {
                try await fixture.withCache(l2: urls) { cache in
                    left.append(try await fixture.expect(content, from: cache).l3.chunks)
                }
            }
            #expect(left[0] <= lost)
            // The next in order has what the dead one had. There are ten retries at first; who gets none asks L3.
            #expect(left[2] <= max(lost - 10, 0), "\(left) of \(lost)")
        }
    }

    /// It answers after the time in which nearly all answers come: the next daemon is asked, and the late one let go.
    @Test func aLateDaemonIsHedged() async throws {
        let fixture = try ClientFixture()
        let content = fixture.bytes(Self.chunks * Self.chunkBytes)
        try await fixture.push(content)
        let clock = ManualClock()
        try await withDaemons(2, in: fixture) { daemons in
            let urls = daemons.map(\.url)
            // Each has everything.
            for url in urls { try await fill([url], fixture, content) }
            try await fixture.withCache(l2: urls, memory: 0, time: TimeSource(clock)) { cache in
                let image = try await fixture.image(cache)
                for number in 0..<8 * Self.chunks { _ = try await read(image, number % Self.chunks) }
                #expect(cache.l2Statistics?.hedges == 0)
                // No daemon is passed over for what it was asked before: these reads took no time.
                clock.advance(by: .seconds(2))
                let names = urls.sorted()
                let late = try #require(
                    (0..<Self.chunks).first { number in
                        let id = image.layers[0].manifest.data[number].id
                        return names[Rendezvous.order(of: id, among: names)[0].index] == urls[0]
                    })
                try await daemons[0].process.stop()
                async let bytes = read(image, late)
                try await eventually("a hedge") {
                    clock.advance(by: .milliseconds(1))
                    return cache.l2Statistics?.hedges == 1
                }
                let got = try await bytes
                #expect(got == piece(content, late))
                let node = try #require(cache.l2Statistics?.nodes.first { $0.node == urls[0] })
                #expect(node.hedges == 1 && node.hedgesWon == 1)
                #expect(image.counts.l3.chunks == 0)
                daemons[0].process.signal(SIGCONT)
            }
        }
    }

    /// It answers, but late time after time: others serve what it has, without a word from it, until it is well again.
    @Test func aSlowDaemonIsLeftOutAndComesBack() async throws {
        let fixture = try ClientFixture()
        let content = fixture.bytes(Self.chunks * Self.chunkBytes)
        try await fixture.push(content)
        let clock = ManualClock()
        try await withDaemons(3, in: fixture) { daemons in
            let urls = daemons.map(\.url)
            for url in urls { try await fill([url], fixture, content) }
            try await fixture.withCache(l2: urls, memory: 0, time: TimeSource(clock)) { cache in
                let image = try await fixture.image(cache)
                func node() -> L2NodeStatistics { cache.l2Statistics!.nodes.first { $0.node == urls[0] }! }
                func readAll() async throws {
                    // No daemon is passed over for what it was asked before: these reads take no time.
                    clock.advance(by: .seconds(2))
                    try await expectAll(content, image)
                }
                for _ in 0..<8 { try await readAll() }
                let names = urls.sorted()
                let own = try #require(
                    (0..<Self.chunks).first { number in
                        let id = image.layers[0].manifest.data[number].id
                        return names[Rendezvous.order(of: id, among: names)[0].index] == urls[0]
                    })
                let slow = daemons[0].process
                // The first of them are hedged, as long as there is an allowance.
                for _ in 0..<40 where node().ejections == 0 {
                    let (requests, hedges) = (node().requests, node().hedges)
                    try await slow.stop()
                    async let bytes = read(image, own)
                    try await eventually("a request") { node().requests > requests }
                    for _ in 0..<20 { clock.advance(by: .milliseconds(1)) }
                    slow.signal(SIGCONT)
                    let got = try await bytes
                    #expect(got == piece(content, own))
                    #expect(node().hedges <= hedges + 1)
                }
                #expect(node().ejections == 1 && node().state == "resting")
                #expect(cache.l2Statistics!.nodes.filter { $0.state == "trusted" }.count == 2)
                try await slow.stop()
                let (requests, passed) = (node().requests, node().passedOver)
                try await readAll()
                #expect(node().requests == requests && node().passedOver > passed)
                slow.signal(SIGCONT)
                clock.advance(by: .seconds(5))
                try await eventually("it is back") {
                    try await readAll()
                    return ["warming", "trusted"].contains(node().state)
                }
                #expect(node().ejections == 1)
                #expect(image.counts.l3.chunks == 0)
            }
        }
    }

    /// A daemon that waits for another worker's fill is not late.
    @Test func whoIsInLineForAFillIsNotHedged() async throws {
        let fixture = try ClientFixture()
        let content = fixture.bytes(Self.chunks * Self.chunkBytes)
        try await fixture.push(content)
        let clock = ManualClock()
        try await TestServer.run { one async throws in
            try await TestServer.run { two async throws in
                let urls = [one.url, two.url]
                try await fill(urls, fixture, content)
                try await fixture.withCache(l2: urls, memory: 0, time: TimeSource(clock)) { cache in
                    let image = try await fixture.image(cache)
                    for number in 0..<8 * Self.chunks { _ = try await read(image, number % Self.chunks) }
                    let other = Array(fixture.bytes(Self.chunkBytes).reversed())
                    try await fixture.push(other)
                    try await fixture.withCache(l2: urls) { holder in
                        let held = try await fixture.image(holder)
                        let wanted = try await fixture.image(cache)
                        let reads = fixture.store.chunkReads
                        fixture.store.set(.hanging)
                        async let first = read(held, 0)
                        await fixture.store.waitForReads(reads + 1)
                        async let second = read(wanted, 0)
                        try await eventually("a reader in line") {
                            for server in [one, two] where try await waiting(server) == 1 { return true }
                            return false
                        }
                        for _ in 0..<50 { clock.advance(by: .milliseconds(100)) }
                        #expect(cache.l2Statistics?.hedges == 0)
                        fixture.store.set(.none)
                        let both = try await [first, second]
                        #expect(both == [other, other])
                        #expect(wanted.counts.l3.chunks == 0)
                    }
                }
            }
        }
    }

    /// One chunk that everybody reads is not one daemon's alone.
    @Test func aHotChunkMakesNoHotNode() async throws {
        let fixture = try ClientFixture()
        let content = fixture.bytes(Self.chunkBytes)
        try await fixture.push(content)
        // No load is forgotten.
        let clock = ManualClock()
        try await withDaemons(3, in: fixture) { daemons in
            let urls = daemons.map(\.url)
            try await fill(urls, fixture, content)
            try await fixture.withCache(l2: urls, memory: 0, time: TimeSource(clock)) { cache in
                let image = try await fixture.image(cache)
                for _ in 0..<300 {
                    let got = try await read(image, 0)
                    #expect(got == content)
                    await cache.flush()
                }
                let nodes = try #require(cache.l2Statistics).nodes
                #expect(nodes.allSatisfy { $0.requests < 180 }, "\(nodes.map(\.requests))")
                // Each of the others had to be filled once.
                #expect(image.counts.l3.chunks <= 2)
            }
        }
    }

    // MARK: Names

    @Test func daemonsBehindANameAreLookedUpAgain() async throws {
        let fixture = try ClientFixture()
        let content = fixture.bytes(Self.chunks * Self.chunkBytes)
        try await fixture.push(content)
        let clock = ManualClock()
        let answer = Lookups(["127.0.0.1"])
        try await TestServer.run { one async throws in
            try await TestServer.run(host: "127.0.0.2", port: one.port) { two async throws in
                try await fixture.withCache(memory: 0, time: TimeSource(clock)) {
                    $0.l2 = ["dns+http://l2.zone:\(one.port)"]
                    $0.l2Resolver = { try answer.addresses(of: $0) }
                } _: { cache in
                    let image = try await fixture.image(cache)
                    func states() -> [String] { cache.l2Statistics?.nodes.map { "\($0.node) \($0.state)" } ?? [] }
                    func readUntil(_ expected: [String]) async throws {
                        try await eventually("\(expected)") {
                            _ = try await read(image, 0)
                            return states() == expected
                        }
                    }
                    let (first, second) = ("http://127.0.0.1:\(one.port)", "http://127.0.0.2:\(one.port)")
                    #expect(states() == ["\(first) trusted"])
                    answer.set(["127.0.0.1", "127.0.0.2"])
                    try await expectAll(content, image)
                    #expect(states().count == 1, "it is not looked up at every read")
                    await cache.flush()
                    let reads = fixture.store.chunkReads
                    clock.advance(by: .seconds(10))
                    try await readUntil(["\(first) trusted", "\(second) warming"])
                    // The new one is given more and more, and has it from the old one.
                    for _ in 0..<13 {
                        clock.advance(by: .seconds(5))
                        try await expectAll(content, image)
                        await cache.flush()
                    }
                    #expect(states() == ["\(first) trusted", "\(second) trusted"])
                    #expect(cache.l2Statistics?.nodes[1].hits ?? 0 > 0)
                    #expect(fixture.store.chunkReads == reads)
                    // What cannot be looked up, or has no addresses, changes nothing.
                    for failure in [nil, []] as [[String]?] {
                        let lookups = answer.count
                        answer.set(failure)
                        clock.advance(by: .seconds(10))
                        try await eventually("a lookup") {
                            _ = try await read(image, 0)
                            return answer.count > lookups
                        }
                        #expect(states().count == 2)
                    }
                    answer.set(["127.0.0.2"])
                    clock.advance(by: .seconds(10))
                    try await readUntil(["\(second) trusted"])
                    try await expectAll(content, image)
                }
                _ = two
            }
        }
    }

    /// A resolver that hangs keeps nobody from reading, and nobody from closing.
    @Test func aNameThatIsNotAnsweredKeepsNobodyWaiting() async throws {
        let fixture = try ClientFixture()
        let content = fixture.bytes(Self.chunkBytes)
        try await fixture.push(content)
        let clock = ManualClock()
        let answer = Lookups([])
        answer.hang()
        defer { answer.letGo() }
        try await clock.passing {
            try await fixture.withCache(time: TimeSource(clock)) {
                $0.l2 = ["dns+http://l2.zone:7070"]
                $0.l2Deadline = .seconds(2)
                $0.l2Resolver = { try answer.addresses(of: $0) }
            } _: { cache in
                let counts = try await fixture.expect(content, from: cache)
                #expect(counts.l3.chunks > 0)
                #expect(cache.l2Statistics?.nodes.isEmpty == true)
            }
        }
        #expect(answer.count == 1)
    }

    /// The system's own resolver, and a name that it has without any network.
    @Test func aRealNameIsLookedUp() async throws {
        let fixture = try ClientFixture()
        let content = fixture.bytes(Self.chunkBytes)
        try await fixture.push(content)
        try await TestServer.run { server async throws in
            let urls = ["dns+http://localhost:\(server.port)"]
            try await fixture.withCache(l2: urls) { try await fixture.expect(content, from: $0) }
            try await fixture.withCache(l2: urls) { cache in
                try await fixture.expect(content, from: cache)
                #expect(cache.l2Statistics?.nodes.map(\.node).contains(server.url) == true)
            }
        }
    }

    // MARK: Warming

    @Test func warmingSaysWhatArrived() async throws {
        let fixture = try ClientFixture()
        let content = fixture.bytes(Self.chunks * Self.chunkBytes)
        try await fixture.push(content)
        try await withDaemons(2, in: fixture) { daemons in
            let urls = daemons.map(\.url)
            func warm(_ urls: [String]) async throws -> ImageWarmer.Report {
                try await fixture.withCache(l2: urls, memory: 0) { cache in
                    try await ImageWarmer(try await fixture.image(cache)).warm()
                }
            }
            let first = try await warm(urls)
            #expect(first.image.chunks >= Self.chunks && first.image.bytes >= content.count)
            #expect(first.arrived == first.image && first.stored == first.image && first.problems.isEmpty)
            try await fixture.withCache(l2: urls) { cache in
                let counts = try await fixture.expect(content, from: cache)
                #expect(counts.l3.chunks == 0)
            }
            let again = try await warm(urls)
            #expect(again.arrived == first.image && again.stored.chunks == 0)
            // One that is away is named, and its part is where readers look then.
            daemons[0].kill()
            let less = try await warm(urls)
            #expect(less.arrived == first.image && less.stored.chunks > 0 && less.stored.chunks < first.image.chunks)
            #expect(less.problems.count == 1 && less.problems[0].hasPrefix(urls[0]))
            daemons[1].kill()
            let none = try await warm(urls)
            #expect(none.arrived.chunks == 0 && none.stored.chunks == 0 && none.problems.count == 2)
            #expect(none.image == first.image)
        }
    }
}
