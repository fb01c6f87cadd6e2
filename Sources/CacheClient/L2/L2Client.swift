internal import AsyncHTTPClient
internal import CacheCore
internal import FoundationEssentials
internal import Logging
internal import NIOCore
internal import NIOHTTP1

/// Talks to the L2 daemons: which one for which chunk, how long to wait, and whether to ask at all.
///
/// Nothing that L2 does can fail a read: an answer that is late, wrong or an error is told to the caller as `unavailable`,
/// and after some of them in a row the daemon is not asked for a while.
struct L2Client: Sendable {
    enum Answer: Sendable {
        case hit(ByteBuffer)
        /// L2 has no such chunk; `dropped` if it had one until now, but damaged.
        case miss(dropped: Bool)
        case unavailable
    }

    private struct Node: Sendable {
        let base: String
        let breaker: CircuitBreaker
    }

    private let nodes: [Node]
    private let client: HTTPClient
    private let deadline: Duration
    private let deadlines: Deadlines
    /// The most that an answer without a chunk may have.
    private static let lineBytes = 4096
    private let logger: Logger

    /// - Parameter urls: `http://host:port` each; a chunk belongs to one of them, whatever the order of the list.
    init(urls: [String], deadline: Duration, connectionsPerHost: Int, deadlines: Deadlines, logger: Logger) throws {
        nodes = try Set(urls.map(Self.base)).sorted().map { base in
            return Node(base: base, breaker: CircuitBreaker(threshold: 5, rest: .seconds(5)))
        }
        let amount = TimeAmount(deadline)
        self.deadline = deadline
        self.deadlines = deadlines
        self.logger = logger
        var configuration = HTTPClient.Configuration()
        configuration.timeout = .init(connect: min(amount, .seconds(1)), read: amount)
        configuration.connectionPool.concurrentHTTP1ConnectionsPerHostSoftLimit = connectionsPerHost
        configuration.connectionPool.retryConnectionEstablishment = false
        configuration.redirectConfiguration = .disallow
        configuration.httpVersion = .http1Only
        client = HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration)
    }

    func get(_ id: ChunkID) async throws -> Answer {
        try await ask(id, method: .GET, body: nil) { response in
            switch response.status {
            case .ok:
                return .hit(try await response.body.collect(upTo: ChunkLimits.sealedBytes))
            case .notFound:
                // The line is read so that the connection can serve again.
                _ = try await response.body.collect(upTo: Self.lineBytes)
                return .miss(dropped: response.headers.contains(name: "Layercache-Repair"))
            default:
                throw CacheError(.io, "L2 answered \(response.status.code)")
            }
        } ?? .unavailable
    }

    /// Offers a chunk to L2, which may refuse it: a daemon whose disk is full still serves what it has.
    func put(_ id: ChunkID, _ sealed: ByteBuffer) async throws {
        _ = try await ask(id, method: .PUT, body: sealed) { response in
            _ = try await response.body.collect(upTo: Self.lineBytes)
            if response.status != .created && response.status != .ok {
                logger.debug("L2 refused a chunk", metadata: ["chunk": "\(id)", "status": "\(response.status.code)"])
            }
        }
    }

    func close() async throws {
        try await client.shutdown()
    }

    /// One request to the node of `id`; `nil` if it is not asked or fails. Throws only if the task is cancelled.
    private func ask<T: Sendable>(
        _ id: ChunkID, method: HTTPMethod, body: ByteBuffer?,
        _ read: @escaping @Sendable (HTTPClientResponse) async throws -> T
    ) async throws -> T? {
        guard let node = node(of: id), node.breaker.mayTry() else { return nil }
        var request = HTTPClientRequest(url: "\(node.base)/v1/chunks/\(id.hex)")
        request.method = method
        if let body { request.body = .bytes(body) }
        do {
            // The client's own deadline ends with the head of the response; a body that drips is bounded by ours.
            let result = try await deadlines.run(deadline, "L2 at \(node.base)") { [request, client, deadline] in
                try await read(try await client.execute(request, deadline: .now() + TimeAmount(deadline)))
            }
            node.breaker.succeeded()
            return result
        } catch {
            if Task.isCancelled {
                node.breaker.abandoned()
                throw CancellationError()
            }
            node.breaker.failed()
            logger.debug(
                "L2 request failed", metadata: ["node": "\(node.base)", "chunk": "\(id)", "error": "\(error)"])
            return nil
        }
    }

    /// `http://HOST[:PORT][/]` without the slash; anything else is refused now rather than passed over at each read.
    private static func base(_ url: String) throws -> String {
        let base = url.hasSuffix("/") ? String(url.dropLast()) : url
        guard let address = URLComponents(string: base), address.scheme == "http", address.host?.isEmpty == false,
            (1...65_535).contains(address.port ?? 80), address.path.isEmpty, address.query == nil, address.user == nil
        else { throw CacheError(.invalidInput, "L2 '\(url)' is not of the form http://HOST:PORT") }
        return base
    }

    /// Rendezvous hashing: each node scores the chunk and the highest has it, so a node that comes or goes moves only its own share.
    private func node(of id: ChunkID) -> Node? {
        guard nodes.count > 1 else { return nodes.first }
        let scored = nodes.map { node in
            var hash = SHA256Stream()
            var base = node.base
            base.withUTF8 { hash.update(UnsafeRawBufferPointer($0)) }
            id.digest.withUnsafeBytes { hash.update($0) }
            return (score: hash.finish(), node: node)
        }
        return scored.max { $0.score < $1.score }?.node
    }
}
