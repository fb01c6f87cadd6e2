import Foundation
import Glibc

/// An L2 daemon of the built binary, on a free port; killed when this goes away.
final class Daemon: Sendable {
    let address: String
    let process: ChildProcess

    var url: String { "http://\(address)" }
    var port: UInt16 { address.split(separator: ":").last.flatMap { UInt16($0) } ?? 0 }

    /// Returns once it serves.
    init(_ bench: Workbench, store: String = "l2", capacity: String = "1GiB", memory: String = "8MiB") async throws {
        process = try bench.start([
            "server", "--listen", "127.0.0.1:0", "--store", bench(store), "--capacity", capacity, "--memory", memory,
            "--json",
            "--threads", "1",
        ])
        address = try JSONDecoder().decode(Ready.self, from: Data(try await process.firstLine().utf8)).listen
    }

    private struct Ready: Decodable { let listen: String }

    /// As a service manager does.
    func stop() async throws -> ChildProcess.Outcome {
        process.signal(SIGTERM)
        return try await process.wait()
    }

    func kill() { process.kill() }
}
