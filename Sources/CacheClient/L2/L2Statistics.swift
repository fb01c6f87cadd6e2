internal import CacheAccess
internal import CacheCore
public import Logging
internal import NIOCore
internal import NIOHTTP1
internal import NIOPosix

/// The numbers of an L2 daemon.
public enum L2Statistics {
    private static let maximumBytes = 1 << 20
    private static let deadline = Duration.seconds(5)

    /// The JSON object that `GET /v1/stats` answers, as text.
    /// - Parameter security: what the daemon is shown.
    /// - Throws: `.invalidInput` if `address` is not `http://host:port` or `https://host:port`; what is wrong with a
    ///   file of `security`; `.io` if the daemon there does not answer within five seconds, or refuses this host.
    public static func fetch(
        from address: String, security: L2Security = L2Security(),
        logger: Logger = Logger(label: "layercache.client")
    ) async throws -> String {
        let parsed = try L2Address(parsing: address)
        return try await fetch(from: parsed, try security.access(to: [parsed], logger: logger))
    }

    /// What each of several daemons answers, in order of their addresses: at most 256, all asked at once.
    /// - Parameter sources: as `--l2` names them; `dns+http://NAME:PORT` is every address of the name.
    /// - Throws: `.invalidInput` for one of another form; what is wrong with a file of `security`; `.io` for a name
    ///   that is not found within five seconds.
    public static func fetch(
        fromAll sources: [String], security: L2Security = L2Security(),
        logger: Logger = Logger(label: "layercache.client")
    ) async throws -> [(daemon: String, numbers: Result<String, any Error>)] {
        let sources = try sources.map { url throws(CacheError) in try L2Source(parsing: url) }
        let access = try security.access(to: Set(sources.map(\.address)), logger: logger)
        var found: Set<L2Address> = []
        for source in sources {
            switch source {
            case .daemon(let address): found.insert(address)
            case .name(let name): for place in try await lookUp(name) { found.insert(L2Address(name, at: place)) }
            }
        }
        let addresses = found.sorted().prefix(L2Members.most)
        return await withTaskGroup(of: (Int, Result<String, any Error>).self) { group in
            for (number, address) in addresses.enumerated() {
                group.addTask {
                    do {
                        return (number, .success(try await fetch(from: address, access)))
                    } catch {
                        return (number, .failure(error))
                    }
                }
            }
            var numbers: [Int: Result<String, any Error>] = [:]
            for await (number, result) in group { numbers[number] = result }
            return addresses.enumerated().compactMap { number, address in
                numbers[number].map { (address.description, $0) }
            }
        }
    }

    private static func lookUp(_ name: L2Address) async throws -> [String] {
        do {
            // A resolver that hangs keeps a thread, and nobody who asks.
            return try await Deadlines(time: .system).run(deadline, "the name") {
                try await NIOThreadPool.singleton.runIfActive { try HostLookup.addresses(of: name.host) }
            }
        } catch {
            throw CacheError(.io, "the name \(name.host) of L2 cannot be looked up: check it", cause: error)
        }
    }

    private static func fetch(from address: L2Address, _ access: ClientAccess?) async throws -> String {
        let connections = L2ConnectionPool(
            address, access, maximum: 1, connectTimeout: TimeAmount(deadline), deadlines: Deadlines(time: .system),
            buffers: BufferPool(bytes: 64 << 10, maximumIdle: 0))
        let result: Result<L2Response, any Error>
        do {
            let request = L2Request(method: .GET, path: "/v1/stats", limit: maximumBytes)
            result = .success(try await connections.exchange(request, for: .read, within: deadline))
        } catch {
            result = .failure(error)
        }
        await connections.close()
        do {
            let response = try result.get()
            guard response.head.status == .ok else {
                throw CacheError(.io, "it answered \(response.head.status.code)")
            }
            return String(buffer: response.body)
        } catch {
            throw CacheError(
                .io, "L2 at \(address) gave no numbers: check the address and the daemon", cause: cause(of: error))
        }
    }

    /// swift-nio wraps what went wrong with each address of a host.
    private static func cause(of error: any Error) -> any Error {
        (error as? NIOConnectionError)?.connectionErrors.first?.error ?? error
    }
}
