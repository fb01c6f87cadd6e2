import CacheCore
import NIOCore
import NIOPosix
import TestSupport
import Testing

@testable import CacheClient

/// Tiers that are away, hang or are too busy.
@Suite(.timeLimit(.minutes(10))) struct AwayTests {
    private let fixture: ClientFixture
    private let content: [UInt8]

    init() throws {
        fixture = try ClientFixture()
        content = fixture.bytes(5_000_000)
    }

    @Test func withoutL2ReadersGoToL3() async throws {
        try await fixture.push(content)
        // A port without a listener: bound once, then closed.
        let listener = try await ServerBootstrap(group: .singletonMultiThreadedEventLoopGroup).bind(
            host: "127.0.0.1", port: 0
        ).get()
        let port = try #require(listener.localAddress?.port)
        try await listener.close()
        try await fixture.withCache(l2: ["http://127.0.0.1:\(port)"]) { cache in
            let result = try await fixture.expect(content, from: cache)
            #expect(result.l2Failures == 10)
            #expect(result.l3.chunks == 10)
        }
    }

    /// It accepts connections and never answers: L3 is asked once there is no patience left, although the deadline is
    /// far.
    @Test func aBlackHoleCostsNoMoreThanThePatience() async throws {
        try await fixture.push(content)
        let listener = try await ServerBootstrap(group: .singletonMultiThreadedEventLoopGroup).bind(
            host: "127.0.0.1", port: 0
        ).get()
        let port = try #require(listener.localAddress?.port)
        let clock = ManualClock()
        try await fixture.withCache(l2: ["http://127.0.0.1:\(port)"], time: TimeSource(clock)) {
            // Time passes far faster than L3 is read.
            $0.l2Deadline = .seconds(1_000_000)
            $0.l2Patience = .seconds(1)
            $0.l3Deadline = .seconds(1_000_000)
        } _: { cache in
            let result = try await clock.passing { try await fixture.expect(content, from: cache) }
            #expect(result.l2Failures == 10)
            #expect(result.l3.chunks == 10)
        }
        try await listener.close()
    }

    /// What a port may answer that is no L2.
    enum Nonsense: String, CaseIterable, Sendable {
        case noHTTP, status, length, tooShort, redirect, hugeHead, hugeBody, silence

        var text: String {
            switch self {
            case .noHTTP: "SSH-2.0-OpenSSH\r\n"
            case .status: "HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n"
            case .length: "HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n"
            case .tooShort: "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort"
            case .redirect: "HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n"
            case .hugeHead: "HTTP/1.1 200 OK\r\nX: \(String(repeating: "y", count: 200_000))\r\n\r\n"
            case .hugeBody: "HTTP/1.1 200 OK\r\n\r\n\(String(repeating: "z", count: 2_000_000))"
            case .silence: ""
            }
        }
    }

    @Test(arguments: Nonsense.allCases) func nonsenseIsPassedOver(_ answer: Nonsense) async throws {
        try await fixture.push(content)
        let listener = try await ServerBootstrap(group: .singletonMultiThreadedEventLoopGroup)
            .childChannelInitializer { channel in
                channel.writeAndFlush(ByteBuffer(string: answer.text)).whenComplete { _ in
                    channel.close(mode: .output, promise: nil)
                }
                return channel.eventLoop.makeSucceededVoidFuture()
            }
            .bind(host: "127.0.0.1", port: 0).get()
        let port = try #require(listener.localAddress?.port)
        try await fixture.withCache(l2: ["http://127.0.0.1:\(port)"]) { cache in
            let result = try await fixture.expect(content, from: cache)
            #expect(result.l3.chunks == 10)
        }
        try await listener.close()
    }

    /// A daemon that dies and comes back is passed over meanwhile; nothing fails.
    @Test func aDaemonMayDieBetweenReads() async throws {
        try await fixture.push(content)
        let url = try await fixture.withDaemon { url in
            try await fixture.withCache(l2: [url], memory: 0) { cache in
                try await fixture.expect(content, from: cache)
                let counts = try await fixture.expect(content, from: cache)
                #expect(counts.l2.chunks == 10)
            }
            return url
        }
        try await fixture.withCache(l2: [url], memory: 0) { cache in
            try await fixture.expect(content, from: cache)
        }
    }

    @Test func aHungL3IsAnErrorWithinItsDeadline() async throws {
        try await fixture.push(content)
        fixture.store.set(.hanging)
        let clock = ManualClock()
        try await fixture.withCache(time: TimeSource(clock)) {
            $0.l3Deadline = .seconds(30)
            $0.l3Concurrency = 2
        } _: { cache in
            let image = try await fixture.image(cache)
            let error = try await clock.passing { await cacheError { _ = try await image.layers[0].collect() } }
            #expect(error?.code == .timedOut)
            #expect(error?.message.contains("/chunks/") == true)
            fixture.store.set(.none)
        }
        try await fixture.withCache { try await fixture.expect(content, from: $0) }
    }

    /// Two read, one waits, and the next is refused; so is opening an image while that is so.
    @Test func beyondTheQueueOfL3NothingIsTaken() async throws {
        try await fixture.push(content)
        let before = fixture.store.chunkReads
        try await fixture.withCache {
            $0.l3Concurrency = 2
            $0.l3Queue = 1
        } _: { cache in
            let image = try await fixture.image(cache)
            fixture.store.set(.hanging)
            let outcomes = (0..<4).map { slot in
                Task {
                    await cacheError { _ = try await image.layers[0].chunk(image.layers[0].manifest.data[slot]) }?.code
                }
            }
            // Two hang, one waits: the fourth is the only one that ends before they are let go.
            let (ended, ending) = AsyncStream.makeStream(of: CacheError.Code?.self)
            for outcome in outcomes { Task { ending.yield(await outcome.value) } }
            var iterator = ended.makeAsyncIterator()
            #expect(await iterator.next() == .overloaded)
            await fixture.store.waitForReads(before + 2)
            let refused = await cacheError { _ = try await fixture.image(cache) }
            #expect(refused?.code == .overloaded)
            let wait = try #require(refused?.retryAfter)
            #expect(wait >= .seconds(1) && wait <= .seconds(60))
            #expect(refused?.message.contains("try again in \(wait.components.seconds) s") == true)
            fixture.store.set(.none)
            for _ in 0..<3 { #expect(await iterator.next() == .some(nil)) }
        }
        try await fixture.withCache { try await fixture.expect(content, from: $0) }
    }
}
