import Foundation
import Glibc
import TestSupport
import Testing

/// A worker that fetches whole images ahead.
@Suite(.enabled(if: WorkerHost.canMount, Comment(rawValue: WorkerHost.needs)), .serialized)
struct PrefetchProcessTests {
    private static let images = 12
    /// Of decoded chunks, 64 MiB, and 100 MiB for all else.
    private static let bound = 164 << 10

    @Test("twelve images that are fetched whole at once leave a worker within its memory, and need L2 and L3 no more")
    func twelve() async throws {
        let host = try await WorkerHost()
        let daemon = try await Daemon(host.bench)
        for number in 0..<Self.images {
            try await host.bench.python(
                "os.mkdir('i\(number)'); write('i\(number)/noise', noise(\(number), 24 << 20))")
            try await host.bench.push("dir:\(host.bench("i\(number)"))", "acme/i\(number)")
        }
        let worker = try await host.startWorker(["--l1-capacity", "1GiB", "--l2", daemon.url])
        let targets = try (0..<Self.images).map { try host.target("m\($0)") }
        try await withThrowingTaskGroup { group in
            for (number, target) in targets.enumerated() {
                group.addTask { try await host.mount(target, ["--prefetch", "all"], of: "acme/i\(number)") }
            }
            try await group.waitForAll()
        }
        // 24 MiB of noise are 48 chunks; the metadata is one more.
        for target in targets {
            try await host.eventually("all of \(target)") {
                let tiers = try await host.numbers(target).tiers
                return tiers.l1.chunks + tiers.l2.chunks + tiers.l3.chunks >= 49
            }
        }
        try await host.eventually("an L1 that has all") {
            let lines = try await host.curl("/metrics").body.split(separator: "\n")
            let bytes = lines.first { $0.hasPrefix("layercache_worker_l1_bytes ") }
            return try #require(Int(bytes?.split(separator: " ").last ?? "")) >= Self.images * 24 << 20
        }
        let status = try host.text("/proc/\(try await host.status().pid)/status")
        let line = try #require(status.split(separator: "\n").first { $0.hasPrefix("VmHWM:") })
        let peak = try #require(line.split(whereSeparator: \.isWhitespace).dropFirst().first.flatMap { Int($0) })
        #expect(peak < Self.bound, "\(peak) KiB")
        daemon.kill()
        try FileManager.default.moveItem(atPath: host.bench.l3, toPath: host.bench("gone"))
        for (number, target) in targets.enumerated() {
            #expect(try await host.bench.same("\(target)/noise", host.bench("i\(number)/noise")))
        }
        try FileManager.default.moveItem(atPath: host.bench("gone"), toPath: host.bench.l3)
        worker.signal(SIGTERM)
        #expect(try await worker.wait().status == 0)
    }
}
