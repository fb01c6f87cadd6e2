import CacheCore
import Foundation
import Glibc
import TestSupport
import Testing

/// A workbench with a pushed image `acme/app`, and a worker's socket; whatever still runs or is mounted at the end is
/// taken down.
final class WorkerHost: Sendable {
    static let canMount =
        geteuid() == 0 && access("/dev/fuse", R_OK | W_OK) == 0 && BuiltProgram.isInstalled("curl")
        && (try? String(contentsOfFile: "/proc/filesystems", encoding: .utf8))?.contains("erofs") == true
    static let needs = "needs root, /dev/fuse, a kernel with EROFS and curl"

    let bench: Workbench
    /// The directory of the socket.
    let run: String
    var socket: String { "\(run)/w.sock" }
    /// Of a worker that `mount` has started.
    var log: String { "\(run)/w.log" }

    init() async throws {
        bench = try await Workbench()
        run = bench("run")
        try FileManager.default.createDirectory(atPath: run, withIntermediateDirectories: false)
        try await bench.python(
            "write('src/hello', b'hello\\n'); write('src/big', noise(9, 3 << 20)); os.mkdir('targets')")
        try await bench.push("dir:\(bench("src"))", "acme/app")
    }

    deinit {
        // All are stopped before any is killed: each starts the other again.
        // The pattern is not in the script, which would find itself by it.
        let environment = ["WORKER": " worker .*\(run)/w.sock"]
        let script = """
            each() {
                for p in /proc/[0-9]*; do
                    tr '\\0' ' ' < $p/cmdline 2>/dev/null | grep -q -- "$WORKER" &&
                        kill -"$1" ${p#/proc/}
                done
            }
            each STOP; each STOP; each KILL
            awk '$5 ~ "^\(bench.path)" {print $5}' /proc/self/mountinfo | sort -r |
                while read -r m; do umount -l "$m"; done
            true
            """
        _ = try? ChildProcess("/bin/bash", ["-c", script], environment: environment).blockUntilEnd()
    }

    /// Seconds after which a worker is taken for stuck: its longest deadline is shorter.
    static let patience = 60.0

    func eventually(_ what: @autoclosure () -> String, _ condition: () async throws -> Bool) async throws {
        try await TestSupport.eventually(what(), patience: Self.patience, condition)
    }

    /// A worker that answers. Without the wait a `mount` might start one of its own, and that one might win.
    func startWorker(_ more: [String] = []) async throws -> ChildProcess {
        let worker = try bench.start(workerArguments + more)
        try await eventually("an answer") { (try? await status()) != nil }
        return worker
    }

    private var options: [String] {
        ["--socket", socket, "--l1", bench.l1, "--l1-capacity", "64MiB", "--l3", bench.l3, "--keyring", bench.keyring]
    }

    var workerArguments: [String] { ["worker"] + options }

    /// The numbers of a mount, as `stats` prints them.
    struct Numbers: Decodable {
        struct Tiers: Decodable { let l1, l2, l3: Tier }
        struct Tier: Decodable { let chunks: Int }
        struct Repaired: Decodable { let l1, l2: Int }
        struct Prefetch: Decodable { let chunks, used: Int }
        let tiers: Tiers
        let prefetch: Prefetch
        let repaired: Repaired
    }

    func numbers(_ target: String) async throws -> Numbers {
        let text = try await bench.succeed(["stats", target, "--socket", socket, "--json"])
        return try JSONDecoder().decode(Numbers.self, from: Data(text.utf8))
    }

    func target(_ name: String) throws -> String {
        let path = bench("targets/\(name)")
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false)
        return path
    }

    func mount(_ target: String, _ more: [String] = [], of ref: String = "acme/app") async throws {
        try await bench.succeed(["mount", ref, target] + options + more)
    }

    func unmount(_ target: String) async throws { try await bench.succeed(["unmount", target, "--socket", socket]) }

    func text(_ path: String) throws -> String { try String(contentsOfFile: path, encoding: .utf8) }

    /// Compares what the mount shows with the truth.
    func compare(_ target: String) async throws {
        #expect(try await bench.same("\(target)/big", bench("src/big")))
    }

    /// Has the kernel ask again for what the mount has shown of the file `big`.
    func forget(_ target: String) async throws {
        try await bench.python(
            "with open('\(target)/big', 'rb') as f: os.posix_fadvise(f.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)")
    }

    struct Status: Decodable {
        struct Mount: Decodable { let dir, device: String }
        let pid: Int32
        let mounts: [Mount]
    }

    func status() async throws -> Status {
        let answer = try await curl("/v1/status")
        return try JSONDecoder().decode(Status.self, from: Data(answer.body.utf8))
    }

    func curl(_ path: String, _ arguments: [String] = []) async throws -> (status: Int, body: String) {
        let outcome = try await ChildProcess(
            "curl",
            ["-sS", "--unix-socket", socket, "-w", "\n%{http_code}"] + arguments + ["http://worker\(path)"],
            in: bench(".out")
        ).wait()
        let lines = try outcome.succeeded().split(separator: "\n", omittingEmptySubsequences: false)
        return (Int(lines.last ?? "") ?? 0, lines.dropLast().joined(separator: "\n"))
    }

    /// The numbers of the worker's processes.
    func processes() async throws -> [Int32] {
        try FileManager.default.contentsOfDirectory(atPath: "/proc").compactMap { Int32($0) }.filter { pid in
            guard let words = FileManager.default.contents(atPath: "/proc/\(pid)/cmdline") else { return false }
            let text = String(decoding: words, as: UTF8.self)
            return text.contains("\0worker\0") && text.contains("\0\(socket)\0")
        }
    }

    /// What a process has open, as `/proc` names it.
    func openFiles(of pid: Int32) throws -> Set<String> {
        let directory = "/proc/\(pid)/fd"
        return Set(
            try FileManager.default.contentsOfDirectory(atPath: directory).compactMap {
                try? FileManager.default.destinationOfSymbolicLink(atPath: "\(directory)/\($0)")
            })
    }

    /// Those bound to the worker's path.
    func listeningSockets() throws -> Set<String> {
        let lines = try text("/proc/net/unix").split(separator: "\n").filter { $0.hasSuffix(" \(socket)") }
        return Set(lines.compactMap { $0.split(separator: " ").dropFirst(6).first.map { "socket:[\($0)]" } })
    }

    func kernelMounts() throws -> [String] {
        try SystemMount.table().map(\.target.description).filter { $0.hasPrefix(bench("targets")) }
    }

    /// Ends the worker as a service manager does, and waits for that.
    func end() async throws {
        let serving = try await status().pid
        for pid in try await processes() where pid != serving { kill(pid, SIGTERM) }
        try await eventually("the end of the worker") { try await processes().isEmpty }
    }
}
