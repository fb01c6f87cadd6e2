internal import AsyncHTTPClient
internal import CacheCore
internal import NIOCore
internal import NIOHTTP1

/// The numbers of an L2 daemon.
public enum L2Statistics {
    private static let maximumBytes = 1 << 20

    /// The JSON object that `GET /v1/stats` answers, as text.
    /// - Throws: `.invalidInput` if `address` is not `http://host:port`; `.io` if the daemon there does not answer within five seconds.
    public static func fetch(from address: String) async throws -> String {
        let base = try L2Address(parsing: address).description
        do {
            let response = try await HTTPClient.shared.execute(
                HTTPClientRequest(url: "\(base)/v1/stats"), deadline: .now() + .seconds(5))
            let body = try await response.body.collect(upTo: maximumBytes)
            guard response.status == .ok else {
                throw CacheError(.io, "it answered \(response.status.code)")
            }
            return String(buffer: body)
        } catch {
            throw CacheError(.io, "L2 at \(address) gave no numbers: check the address and the daemon", cause: error)
        }
    }
}
