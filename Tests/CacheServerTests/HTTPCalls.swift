import AsyncHTTPClient
import CacheCore
import CacheServer
import Foundation
import NIOCore
import NIOHTTP1
import TestSupport
import Testing

/// What a well-behaved client gets to see.
struct Reply {
    let status: Int
    let body: ByteBuffer
    let headers: [String: String]

    var text: String { String(buffer: body) }
}

extension TestServer {
    /// Waits for as long as a busy machine may take; never shut down, as it lasts as long as the tests.
    private static let client: HTTPClient = {
        var configuration = HTTPClient.Configuration()
        configuration.timeout.connect = .minutes(5)
        return HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration)
    }()

    func call(
        _ method: String, _ url: String, _ body: ByteBuffer? = nil, chunked: Bool = false,
        headers: [String: String] = [:]
    ) async throws -> Reply {
        var request = HTTPClientRequest(url: url)
        request.method = .RAW(value: method)
        for (name, value) in headers { request.headers.add(name: name, value: value) }
        if let body {
            request.body =
                chunked
                ? .stream(
                    AsyncStream {
                        $0.yield(body); $0.finish()
                    }, length: .unknown) : .bytes(body)
        }
        let response = try await Self.client.execute(request, timeout: .minutes(5))
        var headers: [String: String] = [:]
        for header in response.headers { headers[header.name.lowercased()] = header.value }
        return Reply(
            status: Int(response.status.code), body: try await response.body.collect(upTo: 1 << 22), headers: headers)
    }

    func get(_ chunk: TestChunk) async throws -> Reply { try await call("GET", url(chunk.id)) }
    func put(_ chunk: TestChunk) async throws -> Reply { try await call("PUT", url(chunk.id), chunk.bytes) }

    func statistics() async throws -> ServerStatistics {
        let reply = try await call("GET", url("/v1/stats"))
        return try JSONDecoder().decode(ServerStatistics.self, from: Data(reply.body.readableBytesView))
    }
}
