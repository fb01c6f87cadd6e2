import CacheCore
import CacheServer
import TestSupport

extension TestServer {
    func url(_ path: String) -> String { url + path }
    func url(_ id: ChunkID) -> String { url("/v1/chunks/\(id.hex)") }

    /// Lets time pass in steps until the caller has what it waits for and cancels this. After each step the daemon
    /// answers a request, so that no step is longer for it than it says.
    func passTime(in step: Duration) async {
        while !Task.isCancelled {
            time.advance(by: step)
            _ = try? await call("GET", url("/healthz"))
        }
    }

    /// Returns once `condition` holds for the daemon's numbers: asks again and again.
    func until(_ condition: (ServerStatistics) -> Bool) async throws {
        try await eventually("what a test waits for in the daemon's statistics") { try await condition(statistics()) }
    }

    /// The same for one sample of `/metrics`.
    func until(_ sample: String, is value: Int) async throws {
        try await eventually("\(value) as \(sample)") { try await metric(sample) == value }
    }

    func metric(_ sample: String) async throws -> Int? {
        let lines = try await call("GET", url("/metrics")).text.split(separator: "\n")
        return lines.first { $0.hasPrefix(sample + " ") }.flatMap { Int($0.dropFirst(sample.count + 1)) }
    }
}
