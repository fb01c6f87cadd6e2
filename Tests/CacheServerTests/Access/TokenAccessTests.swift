import CacheCore
import CacheServer
import Foundation
import NIOCore
import TestSupport
import Testing

@testable import CacheAccess

/// What each token may do, and that all others learn nothing.
@Suite(.timeLimit(.minutes(10)))
struct TokenAccessTests {
    private enum Bearer: String, CaseIterable {
        case none, wrong, flipped, read, write, admin
    }

    private struct Call {
        let method: String
        let path: String
        var body: ByteBuffer?
        /// Statuses by scope.
        let read, write: Int
        var needsNone = false
    }

    private let directory: TemporaryDirectory
    private var path: String { directory("tokens.json") }

    init() throws { directory = try TemporaryDirectory() }

    private func tokens() throws -> [Bearer: String] {
        let admin = try TokenFile.add("admin", .admin, to: path).text
        var flipped = Array(admin.utf8)
        flipped[20] ^= 1
        return [
            .wrong: AccessToken.make().text, .flipped: String(decoding: flipped, as: UTF8.self),
            .read: try TokenFile.add("read", .read, to: path).text,
            .write: try TokenFile.add("write", .write, to: path).text, .admin: admin,
        ]
    }

    private var security: ServerSecurity {
        var security = ServerSecurity()
        security.tokensFile = path
        return security
    }

    @Test func everyRouteAsksForItsScope() async throws {
        let tokens = try tokens()
        let present = TestChunk(seed: 1)
        let absent = TestChunk(seed: 2)
        let chunk = "/v1/chunks/\(present.id.hex)"
        let none = "/v1/chunks/\(absent.id.hex)"
        let ids = present.id.digest.withUnsafeBytes { ByteBuffer(bytes: $0) }
        let calls = [
            Call(method: "GET", path: chunk, read: 200, write: 200),
            Call(method: "HEAD", path: chunk, read: 200, write: 200),
            Call(method: "GET", path: none, read: 404, write: 404),
            Call(method: "HEAD", path: none, read: 404, write: 404),
            Call(method: "PUT", path: chunk, body: present.bytes, read: 403, write: 200),
            Call(method: "PUT", path: none, body: present.bytes, read: 403, write: 422),
            Call(method: "PUT", path: "/v1/chunks/x", body: present.bytes, read: 403, write: 400),
            Call(method: "DELETE", path: chunk, read: 405, write: 405),
            Call(method: "DELETE", path: none + "/lease", read: 403, write: 404),
            Call(method: "POST", path: chunk + "/damaged", read: 403, write: 409),
            Call(method: "POST", path: none + "/damaged", read: 403, write: 404),
            Call(method: "GET", path: none + "/damaged", read: 403, write: 405),
            Call(method: "POST", path: "/v1/chunks/missing", body: ids, read: 200, write: 200),
            Call(method: "GET", path: "/v1/chunks/missing", read: 405, write: 405),
            Call(method: "GET", path: "/v1/chunks/nonsense", read: 400, write: 400),
            Call(method: "GET", path: "/v1/stats", read: 200, write: 200),
            Call(method: "GET", path: "/metrics", read: 200, write: 200),
            Call(method: "HEAD", path: "/metrics", read: 200, write: 200),
            Call(method: "GET", path: "/", read: 200, write: 200),
            Call(method: "GET", path: "/nowhere", read: 404, write: 404),
            Call(method: "GET", path: "/healthz/", read: 200, write: 200),
            Call(method: "GET", path: "/x/../healthz", read: 404, write: 404),
            Call(method: "GET", path: "/v1/chunks/" + String(repeating: "a", count: 4000), read: 414, write: 414),
            Call(method: "GET", path: "/healthz", read: 200, write: 200, needsNone: true),
            Call(method: "HEAD", path: "/healthz", read: 200, write: 200, needsNone: true),
            Call(method: "GET", path: "/readyz", read: 200, write: 200, needsNone: true),
            Call(method: "PUT", path: "/healthz", body: ids, read: 405, write: 405, needsNone: true),
        ]
        try await TestServer.run(security: security) { server async throws in
            let authorization = ["Authorization": "Bearer \(tokens[.write] ?? "")"]
            #expect(
                try await server.call("PUT", server.url(chunk), present.bytes, headers: authorization).status == 201)
            for call in calls {
                for bearer in Bearer.allCases {
                    let headers = tokens[bearer].map { ["Authorization": "Bearer \($0)"] } ?? [:]
                    let reply = try await server.call(call.method, server.url(call.path), call.body, headers: headers)
                    let expected =
                        switch bearer {
                        case .none, .wrong, .flipped: call.needsNone ? call.read : 401
                        case .read: call.read
                        case .write, .admin: call.write
                        }
                    #expect(reply.status == expected, "\(call.method) \(call.path) as \(bearer)")
                    let challenge = reply.headers["www-authenticate"]
                    switch expected {
                    case 401:
                        #expect(challenge == "Bearer realm=\"layercache\"")
                        #expect(reply.headers["connection"] == "close")
                    case 403: #expect(challenge?.contains("insufficient_scope") == true)
                    default: #expect(challenge == nil)
                    }
                }
            }
            // What was refused was not stored, and not even looked at.
            let stats = try await server.call("GET", server.url("/v1/stats"), headers: authorization)
            let numbers = try JSONDecoder().decode(ServerStatistics.self, from: Data(stats.body.readableBytesView))
            #expect(numbers.puts.stored == 1)
            #expect(numbers.memory.chunks == 1)
            #expect(numbers.memory.hits == 6)
        }
    }

    /// Who may not fill holds nobody up: the lease is for those who may. He waits for their fill like others.
    @Test func readersGetNoLeaseAndWaitForFills() async throws {
        let tokens = try tokens()
        let chunk = TestChunk(seed: 2)
        try await TestServer.run(security: security) { server async throws in
            func call(_ method: String, _ bearer: Bearer, _ body: ByteBuffer? = nil) async throws -> Reply {
                try await server.call(
                    method, server.url("/v1/chunks/\(chunk.id.hex)"), body,
                    headers: ["Authorization": "Bearer \(tokens[bearer] ?? "")", "Prefer": "wait=30"])
            }
            // Nobody fills: there is nothing to wait for.
            let alone = try await call("GET", .read)
            #expect(alone.status == 404 && alone.headers["layercache-lease"] == nil)
            let filling = try await call("GET", .write)
            #expect(filling.status == 404 && filling.headers["layercache-lease"] != nil)
            async let waiting = call("GET", .read)
            try await eventually("a reader in line") {
                let reply = try await server.call(
                    "GET", server.url("/v1/stats"), headers: ["Authorization": "Bearer \(tokens[.read] ?? "")"])
                return try JSONDecoder().decode(ServerStatistics.self, from: Data(reply.body.readableBytesView))
                    .leases.waiting == 1
            }
            #expect(try await call("PUT", .write, chunk.bytes).status == 201)
            let filled = try await waiting
            #expect(filled.status == 200 && filled.body == chunk.bytes)
        }
    }

    @Test func onlyOneWellFormedTokenCounts() async throws {
        let token = try tokens()[.read] ?? ""
        try await TestServer.run(security: security) { server async throws in
            for (fields, status) in [
                ("Authorization: Bearer \(token)", 200), ("authorization: bearer \(token)", 200),
                ("AUTHORIZATION:   BEARER   \(token)  ", 200),
                ("Authorization: Basic \(token)", 401), ("Authorization: \(token)", 401),
                ("Authorization: Bearer\(token)", 401), ("Authorization: Bearer", 401), ("Authorization:", 401),
                ("Authorization: Bearer \(token) x", 401), ("Authorization: Bearer x \(token)", 401),
                ("Authorization: Bearer \"\(token)\"", 401), ("Proxy-Authorization: Bearer \(token)", 401),
                ("Authorization: Bearer \(token)\r\nAuthorization: Bearer \(token)", 401),
                ("Authorization: Bearer x\r\nAuthorization: Bearer \(token)", 401),
                ("Authorization: Bearer \(token)\r\nAuthorization: Bearer x\r\nAuthorization: Bearer \(token)", 401),
                ("Authorization: Bearer \(String(repeating: "x", count: 10_000))", 401),
                ("Cookie: token=\(token)", 401),
            ] {
                try await RawConnection.open(server.port) { connection async throws in
                    try await connection.send("GET /v1/stats HTTP/1.1\r\nHost: x\r\n\(fields)\r\n\r\n")
                    let response = try await connection.response()
                    #expect(response?.status == status, "\(fields)")
                    #expect(response?.head.contains(token) == false)
                }
            }
        }
    }

    /// Who is not let in is no worker, and hears of none; nor does one whose token was good before.
    @Test func whoIsNotLetInIsNotToldHowManyWorkersThereAre() async throws {
        let tokens = try tokens()
        let worker = "Host: x\r\nPrefer: wait=0\r\nLayercache-Worker: \(String(repeating: "1", count: 32))\r\n"
        let known = "Authorization: Bearer \(tokens[.read] ?? "")\r\n"
        let chunk = "/v1/chunks/\(TestChunk(seed: 3).id.hex)"
        var limits = ServerLimits()
        limits.connections = 32
        try await TestServer.run(limits: limits, security: security) { server async throws in
            for (path, fields, status) in [
                (chunk, "", 401), ("/v1/stats", "", 401), ("/healthz", "", 200),
                (chunk, "Authorization: Bearer lct_0\r\n", 401), (chunk, known, 404),
            ] {
                try await RawConnection.open(server.port) { connection async throws in
                    try await connection.send("GET \(path) HTTP/1.1\r\n\(worker)\(fields)\r\n")
                    let response = try #require(try await connection.response())
                    #expect(response.status == status)
                    #expect(response.head.contains("Layercache-Connections: 24") == (status == 404), "\(response.head)")
                }
            }
            try await RawConnection.open(server.port) { connection async throws in
                try await connection.send("GET \(chunk) HTTP/1.1\r\n\(worker)\(known)\r\n")
                #expect(try await connection.response()?.head.contains("Layercache-Connections: 24") == true)
                try await RawConnection.open(server.port) { other async throws in
                    let another = worker.replacing("11", with: "22")
                    try await other.send("GET \(chunk) HTTP/1.1\r\n\(another)\(known)\r\n")
                    #expect(try await other.response()?.head.contains("Layercache-Connections: 12") == true)
                    // What it would be told has changed, but it says no more who it is.
                    try await connection.send("GET \(chunk) HTTP/1.1\r\n\(worker)\r\n")
                    let refused = try #require(try await connection.response())
                    #expect(refused.status == 401 && !refused.head.contains("Layercache-Connections"))
                }
            }
        }
    }

    /// The body of a PUT that is refused is not welcomed, and not waited for; what comes all the same is dropped.
    @Test(arguments: ["none", "read"]) func bodyOfWhoMayNotPutIsNotTaken(bearer: String) async throws {
        let tokens = try tokens()
        let chunk = TestChunk(seed: 3, length: 400_000)
        let field = bearer == "read" ? "Authorization: Bearer \(tokens[.read] ?? "")\r\n" : ""
        let head = "PUT /v1/chunks/\(chunk.id.hex) HTTP/1.1\r\nHost: x\r\n\(field)Content-Length: 400000\r\n"
        try await TestServer.run(security: security) { server async throws in
            try await RawConnection.open(server.port) { connection async throws in
                try await connection.send(head + "Expect: 100-continue\r\n\r\n")
                let response = try await connection.response()
                #expect(response?.status == (bearer == "read" ? 403 : 401))
                try await connection.send(chunk.bytes)
                connection.finish()
                #expect(try await connection.isClosed())
            }
            let reader = ["Authorization": "Bearer \(tokens[.read] ?? "")"]
            let stats = try await server.call("GET", server.url("/v1/stats"), headers: reader)
            let numbers = try JSONDecoder().decode(ServerStatistics.self, from: Data(stats.body.readableBytesView))
            #expect(numbers.bytesIn == 0)
            #expect(numbers.puts.refused == 0)
            let metrics = try await server.call("GET", server.url("/metrics"), headers: reader)
            let reason = bearer == "read" ? "forbidden" : "unauthorized"
            #expect(metrics.text.contains("layercache_denied_total{reason=\"\(reason)\"} 1\n"))
        }
    }

    /// On connections that are open, too; and a file that is damaged or gone lets nobody in.
    @Test(arguments: [1, 2]) func changeOfTheFileCountsForOpenConnections(threads: Int) async throws {
        let tokens = try tokens()
        let chunk = TestChunk(seed: 4)
        let target = "/v1/chunks/\(chunk.id.hex)"
        let request = "GET \(target) HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer \(tokens[.read] ?? "")\r\n\r\n"
        let admin = ["Authorization": "Bearer \(tokens[.admin] ?? "")"]
        try await TestServer.run(threads: threads, security: security) { server async throws in
            func isLetIn() async throws -> Bool {
                try await server.call("GET", server.url("/v1/stats"), headers: admin).status == 200
            }
            #expect(try await server.call("PUT", server.url(target), chunk.bytes, headers: admin).status == 201)
            try await RawConnection.open(server.port) { connection async throws in
                // More than one: a client that is known is answered in fewer steps.
                for _ in 0..<5 {
                    try await connection.send(request)
                    #expect(try await connection.response()?.body == chunk.bytes)
                }
                try TokenFile.remove("read", from: path)
                var status: Int?
                repeat {
                    try await connection.send(request)
                    status = try await connection.response()?.status
                } while status == 200
                #expect(status == 401)
                #expect(try await connection.isClosed())
            }
            #expect(try await isLetIn())
            let whole = try Data(contentsOf: URL(fileURLWithPath: path))
            try whole.dropLast(3).write(to: URL(fileURLWithPath: path))
            try await eventually("a damaged file that lets nobody in") { try await !isLetIn() }
            #expect(try await server.call("GET", server.url("/readyz")).status == 503)
            #expect(try await server.call("GET", server.url("/healthz")).status == 200)
            try whole.write(to: URL(fileURLWithPath: path))
            try await eventually("a file that is whole again") { try await isLetIn() }
            #expect(try await server.call("GET", server.url("/readyz")).status == 200)
            try FileManager.default.removeItem(atPath: path)
            try await eventually("a file that is gone and lets nobody in") { try await !isLetIn() }
        }
    }
}
