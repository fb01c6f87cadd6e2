internal import CacheCore
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
        let connections: L2Connections
        let breaker: CircuitBreaker
    }

    private let nodes: [Node]
    private let deadline: Duration
    /// The most that an answer without a chunk may have.
    private static let lineBytes = 4096
    private let logger: Logger

    /// - Parameters:
    ///   - urls: `http://host:port` each; a chunk belongs to one of them, whatever the order of the list.
    ///   - buffers: where the memory of chunks comes from; whoever gets one gives it back there.
    /// - Throws: `.invalidInput` for an address of another form.
    init(
        urls: [String], deadline: Duration, connectionsPerHost: Int, deadlines: Deadlines, buffers: BufferPool,
        logger: Logger
    ) throws(CacheError) {
        var addresses: Set<L2Address> = []
        for url in urls { addresses.insert(try L2Address(parsing: url)) }
        nodes = addresses.sorted().map { address in
            Node(
                connections: L2Connections(
                    address, maximum: connectionsPerHost, connectTimeout: min(TimeAmount(deadline), .seconds(1)),
                    deadlines: deadlines, buffers: buffers),
                breaker: CircuitBreaker(threshold: 5, rest: .seconds(5)))
        }
        self.deadline = deadline
        self.logger = logger
    }

    func get(_ id: ChunkID) async throws -> Answer {
        let request = L2Request(method: .GET, path: "/v1/chunks/\(id.hex)", limit: ChunkLimits.sealedBytes)
        return try await ask(id, request) { response in
            switch response.head.status {
            case .ok: .hit(response.body)
            case .notFound: .miss(dropped: response.head.headers.contains(name: "Layercache-Repair"))
            default: throw CacheError(.io, "L2 answered \(response.head.status.code)")
            }
        } ?? .unavailable
    }

    /// Whether L2 has a chunk; `nil` if it does not say.
    func has(_ id: ChunkID) async throws -> Bool? {
        let request = L2Request(method: .HEAD, path: "/v1/chunks/\(id.hex)", limit: Self.lineBytes)
        return try await ask(id, request) { response in
            switch response.head.status {
            case .ok: true
            case .notFound: false
            default: throw CacheError(.io, "L2 answered \(response.head.status.code)")
            }
        }
    }

    /// Offers a chunk to L2, which may refuse it: a daemon whose disk is full still serves what it has.
    func put(_ id: ChunkID, _ sealed: ByteBuffer) async throws {
        let request = L2Request(
            method: .PUT, path: "/v1/chunks/\(id.hex)", body: sealed, limit: Self.lineBytes)
        _ = try await ask(id, request) { response in
            let status = response.head.status
            if status != .created && status != .ok {
                logger.debug("L2 refused a chunk", metadata: ["chunk": "\(id)", "status": "\(status.code)"])
            }
        }
    }

    func close() async {
        for node in nodes { await node.connections.close() }
    }

    /// One request to the node of `id`; `nil` if it is not asked or fails. Throws only if the task is cancelled.
    private func ask<T>(_ id: ChunkID, _ request: L2Request, _ read: (L2Response) throws -> T) async throws -> T? {
        guard let node = node(of: id), node.breaker.mayTry() else { return nil }
        do {
            let result = try read(try await node.connections.exchange(request, within: deadline))
            node.breaker.succeeded()
            return result
        } catch {
            if Task.isCancelled {
                node.breaker.abandoned()
                throw CancellationError()
            }
            node.breaker.failed()
            logger.debug(
                "L2 request failed",
                metadata: ["node": "\(node.connections.address)", "chunk": "\(id)", "error": "\(error)"])
            return nil
        }
    }

    /// Rendezvous hashing: each node scores the chunk and the highest has it, so a node that comes or goes moves only its own share.
    private func node(of id: ChunkID) -> Node? {
        guard nodes.count > 1 else { return nodes.first }
        let scored = nodes.map { node in
            var hash = SHA256Stream()
            var base = node.connections.address.description
            base.withUTF8 { hash.update(UnsafeRawBufferPointer($0)) }
            id.digest.withUnsafeBytes { hash.update($0) }
            return (score: hash.finish(), node: node)
        }
        return scored.max { $0.score < $1.score }?.node
    }
}
