import CacheAccess
import CacheClient
import CacheCore
import CacheServer
import Foundation
import NIOCore
import NIOHTTP1
import NIOPosix
import Synchronization
import TestSupport
import Testing

/// What a client does about bytes of L2 that are not what their name says: the reader never sees them.
@Suite(.timeLimit(.minutes(10))) struct DamageReportingTests {
    private let fixture: ClientFixture
    private let content: [UInt8]

    init() throws {
        fixture = try ClientFixture()
        content = fixture.bytes(6 << 19)
    }

    private func filled() async throws {
        try await fixture.push(content)
        try await fixture.withDaemon { url in
            _ = try await fixture.withCache(l2: [url]) { try await fixture.readAll($0) }
        }
        #expect(try await fixture.damage(fixture("l2")) == 6)
    }

    private func statistics(_ url: String) async throws -> ServerStatistics {
        try JSONDecoder().decode(
            ServerStatistics.self, from: Data(try await L2Statistics.fetch(from: url, logger: .quiet).utf8))
    }

    /// More damaged chunks in a row than failures that have a daemon left out: it owns up to them.
    @Test func damageIsReportedAndRepaired() async throws {
        try await filled()
        try await fixture.withDaemon { url in
            try await fixture.withCache(l2: [url]) { cache in
                let counts = try await fixture.expect(content, from: cache)
                #expect(counts.repairedL2 == 6)
                #expect(counts.l3.chunks == 6)
                #expect(counts.l2Failures == 0)
            }
            let numbers = try await statistics(url)
            #expect(numbers.repairs == 6)
            #expect(numbers.reports.dropped == 6)
            try await fixture.withCache(l2: [url]) { cache in
                let healed = try await fixture.expect(content, from: cache)
                #expect(healed.l2.chunks == 6)
                #expect(healed.repairedL2 == 0)
            }
        }
    }

    /// Who may not fill may not have anything dropped: it reads from L3, and counts.
    @Test func readerWithoutTheRightToWriteGoesToL3() async throws {
        try await filled()
        let list = fixture("tokens.json")
        var tokens: [AccessScope: String] = [:]
        for scope in [AccessScope.read, .write] {
            let token = try TokenFile.add(scope.name, scope, to: list)
            tokens[scope] = fixture("token-\(scope.name)")
            try Data(token.text.utf8).write(to: URL(fileURLWithPath: fixture("token-\(scope.name)")))
            try FileManager.default.setAttributes(
                [.posixPermissions: 0o600], ofItemAtPath: fixture("token-\(scope.name)"))
        }
        var security = ServerSecurity()
        security.tokensFile = list
        try await TestServer.run(
            in: fixture("l2"), memory: 0, capacity: 256 << 20, security: security
        ) { server async throws in
            for (scope, dropped) in [(AccessScope.read, 0), (.read, 0), (.write, 6)] {
                var access = L2Security()
                access.tokenFile = tokens[scope]
                try await fixture.withCache(l2: [server.url]) {
                    $0.l2Security = access
                } _: { cache in
                    let counts = try await fixture.expect(content, from: cache)
                    #expect(counts.l3.chunks == 6)
                    // Five that it does not own up to, and the daemon is left out for a while.
                    #expect(scope == .read ? counts.repairedL2 >= 1 : counts.repairedL2 == 6)
                }
                let numbers = try JSONDecoder().decode(
                    ServerStatistics.self,
                    from: Data(try await L2Statistics.fetch(from: server.url, security: access, logger: .quiet).utf8))
                #expect(numbers.reports.dropped == dropped)
                #expect(numbers.disk.chunks > 0)
            }
        }
    }

    /// Something between the two changes bytes: the daemon's copy is right, so it is neither dropped nor filled.
    @Test func damageOnTheWayFillsNothing() async throws {
        try await fixture.push(content)
        let seen = Calls()
        let listener = try await ServerBootstrap(group: .singletonMultiThreadedEventLoopGroup)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.configureHTTPServerPipeline()
                    try channel.pipeline.syncOperations.addHandler(WrongBytes(seen))
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        let port = try #require(listener.localAddress?.port)
        try await fixture.withCache(l2: ["http://127.0.0.1:\(port)"]) { cache in
            let counts = try await fixture.expect(content, from: cache)
            #expect(counts.l3.chunks == 6)
        }
        #expect(seen.gets.load(ordering: .relaxed) > 0)
        #expect(seen.reports.load(ordering: .relaxed) == seen.gets.load(ordering: .relaxed))
        #expect(seen.others.load(ordering: .relaxed) == 0)
        try await listener.close()
    }

    private final class Calls: Sendable {
        let gets = Atomic<Int>(0)
        let reports = Atomic<Int>(0)
        let others = Atomic<Int>(0)
    }

    /// Answers each GET with bytes that are no chunk, and each report with the verdict that its copy is right.
    private final class WrongBytes: ChannelInboundHandler {
        typealias InboundIn = HTTPServerRequestPart
        typealias OutboundOut = HTTPServerResponsePart
        private let seen: Calls

        init(_ seen: Calls) { self.seen = seen }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            guard case .head(let request) = unwrapInboundIn(data) else { return }
            switch request.method {
            case .GET: seen.gets.add(1, ordering: .relaxed)
            case .POST where request.uri.hasSuffix("/damaged"): seen.reports.add(1, ordering: .relaxed)
            default: seen.others.add(1, ordering: .relaxed)
            }
            let body = ByteBuffer(repeating: 7, count: 1000)
            let head = HTTPResponseHead(
                version: .http1_1, status: request.method == .GET ? .ok : .conflict,
                headers: ["Content-Length": "\(body.readableBytes)"])
            context.write(wrapOutboundOut(.head(head)), promise: nil)
            context.write(wrapOutboundOut(.body(.byteBuffer(body))), promise: nil)
            context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
        }
    }
}
