import Foundation
import Glibc
import TestSupport
import Testing

/// The worker as users run it: the built binary, its two processes, the kernel's FUSE and EROFS.
@Suite(.enabled(if: WorkerHost.canMount, Comment(rawValue: WorkerHost.needs)), .serialized)
struct WorkerProcessTests {
    @Test("the first mount starts a worker, programs read the image, and SIGTERM leaves nothing behind")
    func firstMount() async throws {
        let bench = try await WorkerHost()
        let target = try bench.target("m")
        try await bench.mount(target)
        #expect(try bench.text("\(target)/hello") == "hello\n")
        try await bench.compare(target)
        let stats = try await bench.bench.succeed(["stats", target, "--socket", bench.socket, "--json"])
        let numbers = try JSONDecoder().decode(StatsAnswer.self, from: Data(stats.utf8))
        #expect(numbers.ref == "acme/app:latest" && numbers.asked.bytes > 3_000_000)
        let line = try await bench.bench.fail(["mount", "acme/app", target, "--socket", bench.socket])
        #expect(line.contains("already"))
        try await bench.bench.succeed(["unmount", target, "--socket", bench.socket])
        try await bench.end()
        #expect(try bench.kernelMounts().isEmpty)
        #expect(!FileManager.default.fileExists(atPath: bench.socket))
        #expect(try FileManager.default.contentsOfDirectory(atPath: bench.run) == ["w.log"])
    }

    @Test("mounts that start at once start one worker")
    func concurrentStart() async throws {
        let bench = try await WorkerHost()
        let targets = try (0..<4).map { try bench.target("m\($0)") }
        try await withThrowingTaskGroup { group in
            for target in targets { group.addTask { try await bench.mount(target) } }
            try await group.waitForAll()
        }
        #expect(try await bench.status().mounts.map(\.dir).sorted() == targets)
        // The others end at once, but for those whose starters have just gone on.
        try await bench.eventually("the end of the others") { try await bench.processes().count == 2 }
        try await bench.end()
    }

    @Test("kill -9 of the serving process, again and again, costs readers a moment and no byte")
    func killsServing() async throws {
        let bench = try await WorkerHost()
        let target = try bench.target("m")
        try await bench.mount(target)
        let readers = try (0..<2).map { _ in
            try ChildProcess(
                "python3", ["-c", Self.reader, "\(target)/big", bench.bench("src/big"), bench.bench("stop")],
                in: bench.bench(".out"))
        }
        for reader in readers { _ = try await reader.firstLine() }
        for _ in 0..<5 {
            let pid = try await bench.status().pid
            kill(pid, SIGKILL)
            try await bench.eventually("another process that serves") {
                (try? await bench.status().pid).map { $0 != pid } ?? false
            }
        }
        try Data().write(to: URL(fileURLWithPath: bench.bench("stop")))
        for reader in readers {
            let outcome = try await reader.wait(atMost: WorkerHost.patience)
            #expect(outcome.status == 0, "\(outcome.error)\(outcome.output)")
        }
        try await bench.end()
    }

    /// Compares parts of a file, past the page cache, with those of another one, until a file is there: signals may be
    /// blocked.
    private static let reader = """
        import os, random, sys
        shown, truth = open(sys.argv[1], 'rb', buffering=0), open(sys.argv[2], 'rb')
        size = os.fstat(shown.fileno()).st_size
        rounds = 0
        while rounds < 50 or not os.path.exists(sys.argv[3]):
            at = random.randrange(size >> 12) << 12
            os.posix_fadvise(shown.fileno(), at, 1 << 16, os.POSIX_FADV_DONTNEED)
            got = os.pread(shown.fileno(), 1 << 16, at)
            if got != os.pread(truth.fileno(), 1 << 16, at):
                sys.exit(f'wrong bytes at {at}')
            rounds += 1
            if rounds == 20:
                print('reading', flush=True)
        """

    @Test("kill -9 of the supervisor: the serving process goes on, with a new one")
    func killsSupervisor() async throws {
        let bench = try await WorkerHost()
        let target = try bench.target("m")
        try await bench.mount(target)
        for _ in 0..<2 {
            let serving = try await bench.status().pid
            let others = try await bench.processes().filter { $0 != serving }
            #expect(others.count == 1)
            for pid in others { kill(pid, SIGKILL) }
            try await bench.eventually("a new supervisor") {
                let now = try await bench.processes()
                return now.count == 2 && now.contains(serving) && !others.contains { now.contains($0) }
            }
            #expect(try await bench.status().pid == serving)
            // A listening socket in its hands would outlive the one that serves, and take connections in vain. It has
            // all that its parent has until it has become another program.
            try await bench.eventually("a supervisor without the socket") {
                let supervisors = try await bench.processes().filter { $0 != serving }
                let listening = try bench.listeningSockets()
                return try supervisors.allSatisfy { listening.isDisjoint(with: try bench.openFiles(of: $0)) }
            }
        }
        // The new one does what the first did.
        let serving = try await bench.status().pid
        kill(serving, SIGKILL)
        try await bench.compare(target)
        // Readers are served before curl is.
        try await bench.eventually("the next serving process") {
            (try? await bench.status().pid).map { $0 != serving } ?? false
        }
        try await bench.end()
        #expect(try bench.kernelMounts().isEmpty)
    }

    @Test("both killed: the next worker detaches the dead mounts, says so, and serves")
    func killsBoth() async throws {
        let bench = try await WorkerHost()
        let target = try bench.target("m")
        try await bench.mount(target)
        // Stopped first, so that neither starts the other again.
        let both = try await bench.processes()
        for pid in both { try await stopProcess(pid) }
        for pid in both { kill(pid, SIGKILL) }
        try await bench.eventually("their end") { try await bench.processes().isEmpty }
        let worker = try await bench.startWorker()
        #expect(try worker.text(worker.errorPath).contains(target))
        #expect(try bench.kernelMounts().isEmpty)
        try await bench.mount(target)
        #expect(try bench.text("\(target)/hello") == "hello\n")
        let line = try await bench.bench.fail(bench.workerArguments)
        #expect(line.contains("a worker runs already"))
        worker.signal(SIGTERM)
        #expect(try await worker.wait(atMost: WorkerHost.patience).status == 0)
        #expect(try bench.kernelMounts().isEmpty)
    }

    @Test("SIGTERM with a mount in use: it is served until it is unmounted, then the worker ends")
    func draining() async throws {
        let bench = try await WorkerHost()
        let used = try bench.target("used")
        let idle = try bench.target("idle")
        let worker = try await bench.startWorker()
        try await bench.mount(used)
        try await bench.mount(idle)
        let user = try ChildProcess(
            "/bin/sh", ["-c", "cd '\(used)'; echo in; exec sleep 1000"], in: bench.bench(".out"))
        _ = try await user.firstLine()
        worker.signal(SIGTERM)
        // Said once it has tried to unmount all of them.
        try await bench.eventually("word of the mount in use") {
            try worker.text(worker.errorPath).contains("mounts are in use")
        }
        #expect(try bench.kernelMounts() == [used])
        try await bench.compare(used)
        user.kill()
        try await bench.bench.succeed(["unmount", used, "--socket", bench.socket])
        #expect(try await worker.wait(atMost: WorkerHost.patience).status == 0)
        #expect(try FileManager.default.contentsOfDirectory(atPath: bench.run).isEmpty)
    }

    @Test("curl finds the contract: status, mounts, statistics, metrics, and errors as JSON")
    func contract() async throws {
        let bench = try await WorkerHost()
        let worker = try await bench.startWorker()
        let target = try bench.target("with space")
        let attributes = try FileManager.default.attributesOfItem(atPath: bench.socket)
        #expect(attributes[.posixPermissions] as? Int == 0o600)
        let body = #"{"ref":"acme/app","dir":"\#(target)","prefetch":"none"}"#
        #expect(try await bench.curl("/v1/mounts", ["-d", body]).status == 201)
        #expect(try await bench.curl("/v1/mounts", ["-d", body]).status == 409)
        let other = try bench.target("other")
        let encoded = target.replacing(" ", with: "%20")
        let wrong: [(path: String, arguments: [String], status: Int)] = [
            ("/v1/mounts", ["-d", "{"], 400), ("/v1/mounts", ["-d", #"{"ref":"acme/app"}"#], 400),
            ("/v1/mounts", ["-d", #"{"ref":"acme/none","dir":"\#(other)"}"#], 404),
            ("/v1/mounts", ["-d", #"{"ref":"other/app","dir":"\#(other)"}"#], 403),
            ("/v1/mounts", ["-d", #"{"ref":"acme/app","dir":"\#(bench.run)","prefetch":"x"}"#], 400),
            ("/v1/mounts", ["-d", String(repeating: " ", count: 100_000)], 413), ("/v1/mounts", [], 405),
            ("/v1/mounts?dir=/nowhere", ["-X", "DELETE"], 400), ("/v1/mounts?dir=/", ["-X", "DELETE"], 404),
            ("/v1/mounts", ["-X", "DELETE"], 400), ("/v1/stats?dir=%ff", [], 400), ("/other", [], 404),
        ]
        for (path, arguments, status) in wrong {
            let answer = try await bench.curl(path, arguments)
            #expect(answer.status == status, "\(path) \(arguments.joined().prefix(99)): \(answer)")
            let error = try JSONDecoder().decode([String: String].self, from: Data(answer.body.utf8))["error"]
            #expect(error?.isEmpty == false && error?.contains("\n") == false)
        }
        #expect(try await bench.curl("/v1/stats?dir=\(encoded)").status == 200)
        let metrics = try await bench.curl("/metrics").body
        #expect(metrics.contains("layercache_worker_mounts 1\n"))
        #expect(metrics.contains(#"layercache_worker_chunks_total{tier="l3"}"#))
        #expect(try await bench.curl("/v1/mounts?dir=\(encoded)", ["-X", "DELETE"]).status == 200)
        worker.signal(SIGTERM)
        #expect(try await worker.wait(atMost: WorkerHost.patience).status == 0)
    }
}

private struct StatsAnswer: Decodable {
    struct Asked: Decodable { let reads, bytes: Int }
    let ref: String
    let asked: Asked
}
