import CacheCore
import CacheServer
import Foundation
import Glibc
import NIOConcurrencyHelpers
import NIOCore
import NIOHTTP1
import NIOPosix
import TestSupport
import Testing

@testable import CacheAccess
@testable import CacheClient

/// Tokens and certificates of a client that goes on while they change.
@Suite(.timeLimit(.minutes(10)), .enabled(if: TestCertificates.isPossible, "needs openssl"))
struct L2AccessTests {
    private let directory: TemporaryDirectory
    private let pki: TestCertificates

    init() async throws {
        directory = try TemporaryDirectory()
        pki = try await TestCertificates(in: directory.path)
    }

    private func serverSecurity(clients: Bool = true) -> ServerSecurity {
        var security = ServerSecurity()
        security.certificateFile = pki.certificate("server")
        security.keyFile = pki.key("server")
        security.clientAuthorityFile = clients ? pki.certificate("ca") : nil
        return security
    }

    private func clientSecurity() -> L2Security {
        var security = L2Security()
        security.authorityFile = pki.certificate("ca")
        security.certificateFile = pki.certificate("client")
        security.keyFile = pki.key("client")
        return security
    }

    private func pool(
        _ url: String, _ security: L2Security, connectTimeout: TimeAmount = .minutes(5),
        stretch: @escaping @Sendable (Duration) -> Duration = { $0 }
    ) throws -> L2ConnectionPool {
        let address = try L2Address(parsing: url)
        return L2ConnectionPool(
            address, try security.access(to: [address], logger: .quiet), maximum: 1, connectTimeout: connectTimeout,
            deadlines: Deadlines(), buffers: BufferPool(bytes: 1 << 16, maximumIdle: 1), stretch: stretch)
    }

    private func status(_ pool: L2ConnectionPool) async throws -> UInt {
        let request = L2Request(method: .GET, path: "/v1/stats", limit: 1 << 20)
        return try await pool.exchange(request, for: .read, within: .seconds(600)).head.status.code
    }

    private func write(_ token: AccessToken, _ path: String) throws {
        try Data(token.text.utf8).write(to: URL(fileURLWithPath: path), options: .atomic)
        try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: path)
    }

    /// The daemon gets a new token and the client's file, too; no request of the client fails once both are there.
    @Test func newTokenIsUsedWithoutAFailure() async throws {
        let list = directory("tokens.json")
        let file = directory("token")
        try write(try TokenFile.add("old", .read, to: list), file)
        var security = serverSecurity()
        security.tokensFile = list
        var client = clientSecurity()
        client.tokenFile = file
        try await TestServer.run(security: security) { server async throws in
            let pool = try pool("https://127.0.0.1:\(server.port)", client)
            #expect(try await status(pool) == 200)
            let new = try TokenFile.add("new", .read, to: list)
            let other = try self.pool("https://127.0.0.1:\(server.port)", clientSecurity())
            let stranger = try #require(L2Refusal(.unauthorized, hasToken: false))
            await #expect(throws: stranger) { try await status(other) }
            try write(new, file)
            // The daemon must have read its list; a client with the new token finds out.
            let newcomer = try self.pool("https://127.0.0.1:\(server.port)", client)
            try await eventually("the new token counts") { (try? await status(newcomer)) == 200 }
            try TokenFile.remove("old", from: list)
            for _ in 0..<50 { #expect(try await status(pool) == 200) }
            try TokenFile.remove("new", from: list)
            try await eventually("nobody is let in") { (try? await status(pool)) == nil }
            let refusal = try #require(L2Refusal(.unauthorized, hasToken: true))
            await #expect(throws: refusal) { try await status(pool) }
            for one in [pool, other, newcomer] { await one.close() }
        }
    }

    /// A client whose certificate the daemon does not accept finds the next one that is put in its place.
    @Test func newCertificatesAreUsed() async throws {
        var client = clientSecurity()
        for (name, path) in [("client.crt", \L2Security.certificateFile), ("client.key", \.keyFile)] {
            try FileManager.default.copyItem(atPath: directory(name), toPath: directory("live-\(name)"))
            client[keyPath: path] = directory("live-\(name)")
        }
        try await pki.leaf("stranger", by: "other", for: "DNS:worker")
        try await TestServer.run(security: serverSecurity()) { running async throws in
            let url = "https://127.0.0.1:\(running.port)"
            let old = try pool(url, client)
            #expect(try await status(old) == 200)
            // The client has the certificate of a CA that the daemon does not know: nobody lets it in.
            func replace(_ name: String, with other: String) throws {
                try FileManager.default.copyItem(atPath: directory(other), toPath: directory("next"))
                #expect(rename(directory("next"), directory(name)) == 0)
            }
            try replace("live-client.key", with: "stranger.key")
            try replace("live-client.crt", with: "stranger.crt")
            let stranger = try pool(url, client)
            await #expect(throws: (any Error).self) { try await status(stranger) }
            // And back: the next request finds it.
            try replace("live-client.key", with: "client.key")
            try replace("live-client.crt", with: "client.crt")
            #expect(try await status(stranger) == 200)
            for one in [old, stranger] { await one.close() }
        }
    }

    /// A server that takes the connection and says nothing, or stops amid its part, costs the time for a connection.
    @Test(arguments: [0, 3]) func handshakeHasADeadline(bytes: Int) async throws {
        let listener = try await ServerBootstrap(group: .singletonMultiThreadedEventLoopGroup)
            .childChannelInitializer { channel in
                channel.writeAndFlush(ByteBuffer(bytes: [0x16, 0x03, 0x03].prefix(bytes)))
            }
            .bind(host: "127.0.0.1", port: 0).get()
        let port = try #require(listener.localAddress?.port)
        let pool = try pool("https://127.0.0.1:\(port)", clientSecurity(), connectTimeout: .seconds(1))
        // On a machine that is busy enough the time may be over before the connection is there.
        await #expect { try await status(pool) } throws: { error in
            if case L2Failure.late = error { return true }
            if case ChannelError.connectTimeout = error { return true }
            return false
        }
        await pool.close()
        try await listener.close()
    }

    /// The daemon ends connections that were idle; the next request gets a new one, and its answer.
    @Test func idleConnectionThatWasClosedCostsNothing() async throws {
        var limits = ServerLimits()
        limits.idleTime = .seconds(100)
        try await TestServer.run(limits: limits, security: serverSecurity()) { server async throws in
            let pool = try pool("https://localhost:\(server.port)", clientSecurity())
            for _ in 0..<5 {
                #expect(try await status(pool) == 200)
                server.time.advance(by: .seconds(101))
            }
            await pool.close()
        }
    }

    /// Answers the requests that come, on whatever connections, with a status each, or ends the connection.
    private final class Answers: ChannelInboundHandler, Sendable {
        typealias InboundIn = ByteBuffer
        typealias OutboundOut = ByteBuffer
        private let left: NIOLockedValueBox<[Int?]>

        init(_ left: NIOLockedValueBox<[Int?]>) { self.left = left }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            guard let status = left.withLockedValue({ $0.isEmpty ? nil : $0.removeFirst() }) else {
                return context.close(promise: nil)
            }
            let answer = ByteBuffer(string: "HTTP/1.1 \(status) X\r\nContent-Length: 0\r\n\r\n")
            context.writeAndFlush(wrapOutboundOut(answer), promise: nil)
        }
    }

    /// Runs a server with TLS that answers so, and `check` with a client of it, whose deadlines are over with the last
    /// answer.
    private func ask(_ answers: Int?..., check: (L2ConnectionPool) async throws -> Void) async throws {
        let identity = try TLSIdentity(
            .server, TLSFiles(certificate: pki.certificate("server"), key: pki.key("server"), authority: nil),
            logger: .quiet)
        let left = NIOLockedValueBox(answers)
        let listener = try await ServerBootstrap(group: .singletonMultiThreadedEventLoopGroup)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(identity.serverHandler())
                    try channel.pipeline.syncOperations.addHandler(Answers(left))
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        let port = try #require(listener.localAddress?.port)
        let pool = try pool("https://127.0.0.1:\(port)", clientSecurity()) { duration in
            left.withLockedValue { $0.isEmpty } ? .zero : duration
        }
        try await check(pool)
        await pool.close()
        try await listener.close()
    }

    /// A daemon that is killed after a handshake has not refused the certificate; one that ends the next connection
    /// likewise has.
    @Test func oneEndAfterAHandshakeIsNoRefusal() async throws {
        try await ask(nil, 200, 200) { pool async throws in
            #expect(try await status(pool) == 200)
        }
        try await ask(nil, nil, 200) { pool async throws in
            await #expect(throws: L2Refusal.afterHandshake) { try await status(pool) }
        }
    }

    /// One that has answered before knows the certificate, whatever it ends connections for.
    @Test func endsAfterAnAnswerAreNoRefusal() async throws {
        try await ask(200, nil, nil, nil, 200) { pool async throws in
            #expect(try await status(pool) == 200)
            await #expect { try await status(pool) } throws: { $0 as? L2Failure == .closedUnanswered }
        }
    }

    /// What is refused may have been changed by then: nothing is said of it before the files were looked at.
    @Test func filesThatCannotBeLookedAtAreNotBlamed() async throws {
        // All threads that look at files are busy.
        let release = ConditionLock(value: false)
        defer {
            release.lock()
            release.unlock(withValue: true)
        }
        for _ in 0..<NIOSingletons.blockingPoolThreadCountSuggestion {
            NIOThreadPool.singleton.submit { _ in
                release.lock(whenValue: true)
                release.unlock()
            }
        }
        try await ask(401) { pool async throws in
            await #expect { try await status(pool) } throws: { $0 as? L2Failure == .unsure }
        }
    }
}
