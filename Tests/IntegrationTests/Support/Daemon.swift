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
        address = try await Self.address(of: process)
    }

    private struct Ready: Decodable { let listen: String }

    private static func address(of process: ChildProcess) async throws -> String {
        for _ in 0..<6000 {
            let text = try process.text(process.outputPath)
            if text.hasSuffix("\n") { return try JSONDecoder().decode(Ready.self, from: Data(text.utf8)).listen }
            if process.hasEnded { break }
            try await Task.sleep(for: .milliseconds(10))
        }
        throw ChildProcess.TookTooLong(description: "the daemon did not start: \(try process.text(process.errorPath))")
    }

    /// As a service manager does.
    func stop() async throws -> ChildProcess.Outcome {
        process.signal(SIGTERM)
        return try await process.wait(atMost: 60)
    }

    func kill() { process.kill() }
}
