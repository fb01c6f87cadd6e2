import Foundation
import Glibc

/// An L2 daemon of the built binary, on a free port of the loopback interface; killed when the last reference to it
/// goes away.
package final class Daemon: Sendable {
    package let address: String
    package let process: ChildProcess
    private let isSecured: Bool

    package var url: String { "\(isSecured ? "https" : "http")://\(address)" }
    package var port: UInt16 { address.split(separator: ":").last.flatMap { UInt16($0) } ?? 0 }

    /// Returns once it serves.
    ///
    /// - Parameters:
    ///   - store: the directory of its store.
    ///   - capacity: of the store, as `--capacity` reads it; `memory` likewise.
    ///   - options: more of them; with `--tls-cert` its URL says so.
    ///   - directory: where its output files go.
    package init(
        store: String, capacity: String = "1GiB", memory: String = "8MiB", options: [String] = [],
        in directory: String? = nil
    ) async throws {
        process = try ChildProcess(
            built: "layercache",
            [
                "server", "--listen", "127.0.0.1:0", "--store", store, "--capacity", capacity, "--memory", memory,
                "--json", "--threads", "1",
            ] + options, in: directory)
        isSecured = options.contains("--tls-cert")
        address = try JSONDecoder().decode(Ready.self, from: Data(try await process.firstLine().utf8)).listen
    }

    private struct Ready: Decodable { let listen: String }

    /// Ends it as a service manager does, and waits for that.
    package func stop() async throws -> ChildProcess.Outcome {
        process.signal(SIGTERM)
        return try await process.wait()
    }

    package func kill() { process.kill() }
}
