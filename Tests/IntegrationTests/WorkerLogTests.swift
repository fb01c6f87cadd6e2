import Foundation
import Glibc
import TestSupport
import Testing

/// What a worker that `mount` has started says, when whoever started it is gone.
@Suite(.enabled(if: WorkerHost.canMount, Comment(rawValue: WorkerHost.needs)), .serialized)
struct WorkerLogTests {
    @Test("an L2 that is away, a process that is killed and a read that fails are found in the log beside the socket")
    func log() async throws {
        let host = try await WorkerHost()
        let target = try host.target("m")
        try await host.mount(target, ["--prefetch", "none", "--l2", "http://127.0.0.1:9"])
        try await host.compare(target)
        try await waitFor("L2 is ill", host)
        #expect(try host.text(host.log).contains("127.0.0.1:9"))
        let permissions = try FileManager.default.attributesOfItem(atPath: host.log)[.posixPermissions]
        #expect(permissions as? Int == 0o600)
        // What Swift says of a crash goes there as well.
        for pid in try await host.processes() {
            try await eventually("standard error of \(pid) in the log") {
                try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/\(pid)/fd/2") == host.log
            }
        }
        kill(try await host.status().pid, SIGKILL)
        try await host.compare(target)
        try await waitFor("the serving process has ended", host)
        // The next process answers FUSE before its socket is there.
        try await host.eventually("the next process") { (try? await host.status()) != nil }
        // Chunks are in no tier any more, nor in the memory of the next process.
        try await host.bench.shell("rm -r l1/data.mdb l3/generations/*/chunks")
        kill(try await host.status().pid, SIGKILL)
        try await host.bench.python(
            """
            import errno, sys
            with open('targets/m/big', 'rb') as f:
                os.posix_fadvise(f.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
                try:
                    sys.exit(f'{len(f.read())} bytes from nowhere')
                except OSError as error:
                    assert error.errno == errno.EIO, error
            """)
        try await waitFor("a read of an image failed", host)
        try await host.unmount(target)
        try await host.end()
        #expect(try host.text(host.log).hasSuffix("nothing is mounted any more: the worker ends\n"))
        #expect(try FileManager.default.contentsOfDirectory(atPath: host.run) == ["w.log"])
    }

    private func waitFor(_ line: String, _ host: WorkerHost) async throws {
        try await eventually("'\(line)' in the log") { (try? host.text(host.log))?.contains(line) == true }
    }

    @Test("a worker that cannot start tells who started it, in one line, and leaves no log")
    func failure() async throws {
        let host = try await WorkerHost()
        let target = try host.target("m")
        try await host.bench.shell("rm -rf l1; echo > l1")
        let options = [
            "--socket", host.socket, "--l1", host.bench.l1, "--l3", host.bench.l3, "--keyring", host.bench.keyring,
        ]
        let line = try await host.bench.fail(["mount", "acme/app", target] + options)
        #expect(line.contains("L1 cannot be in \(host.bench.l1)"))
        #expect(try FileManager.default.contentsOfDirectory(atPath: host.run).isEmpty)
    }

    private static let canHaveLess = WorkerHost.canMount && BuiltProgram.isInstalled("setpriv")

    @Test(
        "without the right to mount, mount and worker say so in one line, and leave nothing",
        .enabled(if: canHaveLess, "needs setpriv besides"))
    func withoutRights() async throws {
        let host = try await WorkerHost()
        let target = try host.target("m")
        let user = 3_000_000 + Int.random(in: 0..<1_000_000)
        try await host.bench.shell("cp '\(Workbench.binary)' lc; chmod 755 . lc; chown \(user) run keys.json targets/m")
        let options = ["--socket", "\(host.run)/a/b/w.sock", "--l3", host.bench.l3, "--keyring", host.bench.keyring]
        // Another user; and root in a container that has been given no more than others.
        for less in [["--reuid", "\(user)", "--clear-groups"], ["--bounding-set", "-sys_admin"]] {
            for verb in [["mount", "acme/app", target], ["worker"]] {
                let outcome = try await ChildProcess(
                    "setpriv", less + [host.bench("lc")] + verb + options,
                    environment: ["LLVM_PROFILE_FILE": "/dev/null"], in: host.bench(".out")
                ).wait(atMost: WorkerHost.patience)
                #expect(outcome.status == 1 && outcome.errorLines.count == 1, "\(outcome.error)")
                #expect(outcome.error.contains("CAP_SYS_ADMIN") && outcome.error.contains("sudo"), "\(outcome.error)")
                #expect(try FileManager.default.contentsOfDirectory(atPath: host.run).isEmpty)
            }
        }
    }
}
