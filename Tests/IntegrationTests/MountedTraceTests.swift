import Foundation
import TestSupport
import Testing

/// Traces and what is fetched ahead, as users have them: mounts, programs that read, and verbs.
@Suite(.enabled(if: WorkerHost.canMount, Comment(rawValue: WorkerHost.needs)), .serialized)
struct MountedTraceTests {
    private struct Trace: Decodable {
        let runs: Int
        let chunks: Int
        let order: [Int]
    }

    private func trace(_ host: WorkerHost, _ more: [String] = []) async throws -> Trace {
        let text = try await host.bench.succeed(
            ["trace", "acme/app", "--show", "--json", "--l3", host.bench.l3, "--keyring", host.bench.keyring] + more)
        return try JSONDecoder().decode(Trace.self, from: Data(text.utf8))
    }

    private func hasNoTrace(_ host: WorkerHost) async throws {
        let line = try await host.bench.fail(
            ["trace", "acme/app", "--show", "--l3", host.bench.l3, "--keyring", host.bench.keyring])
        #expect(line.contains("there is no trace"))
    }

    /// A program that reads the second third of a file: two chunks.
    private func read(_ host: WorkerHost) async throws {
        try await host.bench.python(
            """
            with open('targets/m/big', 'rb') as shown, open('src/big', 'rb') as truth:
                os.posix_fadvise(shown.fileno(), 0, 0, os.POSIX_FADV_RANDOM)
                assert os.pread(shown.fileno(), 1 << 20, 1 << 20) == os.pread(truth.fileno(), 1 << 20, 1 << 20)
            """)
    }

    private func end(_ worker: ChildProcess) async throws {
        worker.signal(SIGTERM)
        #expect(try await worker.wait(atMost: WorkerHost.patience).status == 0)
    }

    @Test("a run is recorded, shown, fetched ahead on a host that is new, and dropped")
    func recorded() async throws {
        let host = try await WorkerHost()
        let target = try host.target("m")
        try await hasNoTrace(host)
        let first = try await host.startWorker()
        try await host.mount(target)
        try await read(host)
        try await host.unmount(target)
        try await end(first)
        let trace = try await trace(host)
        #expect(trace.runs == 1 && trace.chunks == trace.order.count && trace.chunks >= 2)

        try await host.bench.shell("rm -r l1")
        let second = try await host.startWorker()
        try await host.mount(target)
        // Before any program reads; the metadata that the kernel needs to mount is asked for.
        try await eventually("what the trace names") { try await host.numbers(target).prefetch.chunks >= 2 }
        try await read(host)
        let numbers = try await host.numbers(target)
        #expect(numbers.prefetch.used >= 2, "\(numbers)")
        try await host.unmount(target)

        let common = ["--l3", host.bench.l3, "--keyring", host.bench.keyring]
        try await host.bench.succeed(["trace", "acme/app", "--drop"] + common)
        try await hasNoTrace(host)
        try await end(second)
        try await hasNoTrace(host)
    }

    @Test("a worker that is told to record nothing records nothing")
    func unrecorded() async throws {
        let host = try await WorkerHost()
        let target = try host.target("m")
        let worker = try await host.startWorker(["--record", "off"])
        try await host.mount(target)
        try await read(host)
        try await host.unmount(target)
        try await end(worker)
        try await hasNoTrace(host)
        #expect(host.bench.files(below: "\(host.bench.l1)/traces").isEmpty)
    }

    @Test("a worker that may only read L3 mounts, and keeps its trace on the host")
    func readOnlyL3() async throws {
        let host = try await WorkerHost()
        let target = try host.target("m")
        try await host.bench.shell("mkdir ro; mount --bind l3 ro; mount -o remount,bind,ro ro")
        let readOnly = ["--l3", host.bench("ro")]
        let first = try await host.startWorker(readOnly)
        try await host.mount(target)
        try await read(host)
        try await host.unmount(target)
        try await end(first)
        try await hasNoTrace(host)
        let trace = try await trace(host, ["--l1", host.bench.l1])
        #expect(trace.runs == 1 && trace.chunks >= 2)
        // The chunks are gone from L1, the trace is not.
        try await host.bench.shell("rm l1/data.mdb")
        let second = try await host.startWorker(readOnly)
        try await host.mount(target)
        try await eventually("what the trace names") { try await host.numbers(target).prefetch.chunks >= 2 }
        try await read(host)
        #expect(try await host.numbers(target).prefetch.used >= 2)
        try await host.compare(target)
        try await end(second)
    }

    @Test("with all of an image fetched ahead, L2 and L3 may go: the whole tree is read from L1")
    func everything() async throws {
        let host = try await WorkerHost()
        let target = try host.target("m")
        let daemon = try await Daemon(host.bench)
        let worker = try await host.startWorker(["--memory", "64KiB", "--l2", daemon.url])
        try await host.mount(target, ["--prefetch", "all"])
        // No program has read anything: chunks of files are in L1's file, each in one piece there at its beginning.
        try await eventually("all of the file in L1") {
            try await host.bench.python(
                """
                import glob
                chunks = [open(p, 'rb').read() for p in glob.glob('l3/generations/*/chunks/*/*')]
                store = open('l1/data.mdb', 'rb').read()
                print(sum(len(c) > 100000 and c[:64] in store for c in chunks))
                """) == "6\n"
        }
        try await eventually("the end of the prefetch") {
            let before = try await host.numbers(target).prefetch.chunks
            return try await host.numbers(target).prefetch.chunks == before && before >= 7
        }
        #expect(try await daemon.stop().status == 0)
        try await host.bench.shell("mv l3 gone")
        let before = try await host.numbers(target)
        try await host.bench.shell("diff -r targets/m src")
        let after = try await host.numbers(target)
        #expect(after.tiers.l1.chunks >= before.tiers.l1.chunks + 6, "\(after)")
        #expect(after.tiers.l3.chunks == before.tiers.l3.chunks && after.tiers.l2.chunks == before.tiers.l2.chunks)
        #expect(after.prefetch.used >= 7, "\(after)")
        try await end(worker)
    }
}
