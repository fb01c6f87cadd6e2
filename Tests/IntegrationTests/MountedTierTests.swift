import Foundation
import Glibc
import TestSupport
import Testing

/// Tiers that are ill, away or damaged while a program reads a mount.
@Suite(.enabled(if: WorkerHost.canMount, Comment(rawValue: WorkerHost.needs)), .serialized)
struct MountedTierTests {
    @Test("L2 is killed, or stands still: reads go on from L3", arguments: [SIGKILL, SIGSTOP])
    func l2Gone(_ signal: Int32) async throws {
        let host = try await WorkerHost()
        let daemon = try await Daemon(host.bench)
        let worker = try await host.startWorker([
            "--l2", daemon.url, "--l2-patience", "200ms", "--l2-deadline", "1s",
        ])
        let target = try host.target("m")
        try await host.mount(target, ["--prefetch", "none"])
        #expect(try host.text("\(target)/hello") == "hello\n")
        try await daemon.process.disable(signal)
        try await host.compare(target)
        #expect(try await host.numbers(target).tiers.l3.chunks > 0)
        daemon.kill()
        worker.signal(SIGTERM)
        #expect(try await worker.wait().status == 0)
    }

    /// L3 lies in a mount of another worker, whose process stands still: its files can be opened, and reads of them
    /// hang in the kernel.
    @Test("L3 hangs: a read fails at one deadline, and has its bytes once L3 is back, with no remount")
    func l3Hangs() async throws {
        let store = try await WorkerHost()
        let host = try await WorkerHost()
        try await store.bench.push("dir:\(host.bench.l3)", "acme/store")
        let storeWorker = try await store.startWorker()
        let l3 = try store.target("l3")
        try await store.bench.succeed(
            ["mount", "acme/store", l3, "--socket", store.socket, "--prefetch", "none"])
        let worker = try host.bench.start([
            "worker", "--socket", host.socket, "--l1", host.bench.l1, "--l3", l3, "--keyring", host.bench.keyring,
            "--l3-deadline", "3s",
        ])
        try await eventually("an answer") { (try? await host.status()) != nil }
        let target = try host.target("m")
        try await host.bench.succeed(
            ["mount", "acme/app", target, "--socket", host.socket, "--prefetch", "none"])
        let serving = try await store.status().pid
        try await stopProcess(serving)
        // The kernel reads 1 MiB ahead in more requests than it would take to be found out by this time.
        let seconds = try await host.bench.python(
            """
            import errno, sys, time
            start = time.monotonic()
            try:
                open('targets/m/big', 'rb').read()
                sys.exit('bytes from nowhere')
            except OSError as error:
                assert error.errno == errno.EIO, error
            print(time.monotonic() - start)
            """)
        #expect(try #require(Double(seconds.trimmingCharacters(in: .whitespacesAndNewlines))) < 20)
        kill(serving, SIGCONT)
        try await eventually("L3 to be back") { try await host.bench.same("\(target)/big", host.bench("src/big")) }
        worker.signal(SIGTERM)
        #expect(try await worker.wait().status == 0)
        storeWorker.signal(SIGTERM)
        #expect(try await storeWorker.wait().status == 0)
    }

    @Test("chunks that are damaged in L1 under a mount are healed, and counted")
    func damagedL1() async throws {
        let host = try await WorkerHost()
        let worker = try await host.startWorker(["--memory", "64KiB"])
        let target = try host.target("m")
        try await host.mount(target, ["--prefetch", "none"])
        try await host.compare(target)
        // One byte of each chunk that L1 has by now, in its first piece; again where L1 was just being looked at, as
        // others have written to its files: reads are misses then.
        try await eventually("a chunk that is found damaged") {
            try await host.bench.python(
                """
                import glob
                chunks = [open(p, 'rb').read() for p in glob.glob('l3/generations/*/chunks/*/*')]
                store = open('l1/data.mdb', 'rb').read()
                with open('l1/data.mdb', 'r+b') as f:
                    for at in (store.find(c[:64]) for c in chunks if len(c) > 100000):
                        if at >= 0: f.seek(at + 20); f.write(bytes([store[at + 20] ^ 0x10]))
                """)
            try await reread(host, target)
            return try await host.numbers(target).repaired.l1 > 0
        }
        try await eventually("an L1 that is whole") {
            let before = try await host.numbers(target).tiers
            try await reread(host, target)
            let after = try await host.numbers(target).tiers
            return after.l3.chunks == before.l3.chunks && after.l1.chunks >= before.l1.chunks + 4
        }
        #expect(try await host.numbers(target).repaired.l2 == 0)
        worker.signal(SIGTERM)
        #expect(try await worker.wait().status == 0)
    }

    /// Compares all bytes, past the page cache.
    private func reread(_ host: WorkerHost, _ target: String) async throws {
        try await host.forget(target)
        try await host.compare(target)
    }
}
