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
        let connections = L2ConnectionPool(
            parsed, try security.access(to: [parsed], logger: logger), maximum: 1, connectTimeout: TimeAmount(deadline),
            deadlines: Deadlines(time: .system), buffers: BufferPool(bytes: 64 << 10, maximumIdle: 0))
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
