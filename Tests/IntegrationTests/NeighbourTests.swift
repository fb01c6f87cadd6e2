import Foundation
import Glibc
import TestSupport
import Testing

/// Others on the host that share an L1 and are stopped, killed, or in containers of their own: they cost a warning,
/// never a pull.
@Suite struct NeighbourTests {
    private func bench() async throws -> Workbench {
        let bench = try await Workbench()
        try await bench.python("write('in', noise(1, 6000000)); write('in.tar', tar([('a', noise(2, 6000000))]))")
        try await bench.push("file:\(bench("in"))", "acme/f:1")
        try await bench.push("tar:\(bench("in.tar"))", "acme/t:1")
        return bench
    }

    /// A pull through L1 that must succeed, with at most one line about L1.
    private func pullsRight(_ bench: Workbench, _ more: [String] = [], location: SourceLocation = #_sourceLocation)
        async throws
    {
        try await bench.shell("rm -f out")
        let outcome = try await bench.run(
            bench.pullArguments("acme/f:1", "file:\(bench("out"))") + ["--l1", bench.l1] + more)
        #expect(outcome.status == 0, "\(outcome.error)", sourceLocation: location)
        #expect(outcome.errorLines.count <= 1, "\(outcome.error)", sourceLocation: location)
        #expect(try await bench.same(bench("in"), bench("out")), sourceLocation: location)
    }

    /// A pull that has L1 open and is stopped in its output until that is read.
    private func standing(_ bench: Workbench, wrapped: [String] = []) async throws -> ChildProcess {
        try await bench.shell("rm -f pipe; mkfifo pipe")
        let words =
            try wrapped + [Workbench.binary] + bench.pullArguments("acme/t:1", "tar:\(bench("pipe"))") + [
                "--l1", bench.l1,
            ]
        let pull = try ChildProcess(
            words[0], Array(words.dropFirst()), environment: Workbench.unhurried, in: bench(".out"))
        // A reader has the pipe open and takes only the beginning.
        let taken = try await bench.python(
            """
            pipe = os.open('pipe', os.O_RDONLY)
            print(len(os.read(pipe, 1000)) > 0)
            """)
        #expect(taken == "True\n")
        try await eventually("a store in L1") { FileManager.default.fileExists(atPath: "\(bench.l1)/data.mdb") }
        return pull
    }

    /// A process that was stopped in the middle of opening or closing the store holds its lock.
    @Test func lockThatSomebodyHolds() async throws {
        let bench = try await bench()
        try await pullsRight(bench)
        let holder = try ChildProcess(
            "python3",
            [
                "-c",
                """
                import fcntl, signal
                lock = open('\(bench.l1)/open.lock', 'r+')
                fcntl.flock(lock, fcntl.LOCK_EX)
                print('held', flush=True)
                signal.pause()
                """,
            ], in: bench(".out"))
        #expect(try await holder.firstLine() == "held")
        try await pullsRight(bench, ["--l1-deadline", "200ms"])
        holder.kill()
        try await pullsRight(bench)
    }

    @Test func neighbourThatIsStopped() async throws {
        let bench = try await bench()
        let neighbour = try await standing(bench)
        try await neighbour.stop()
        try await pullsRight(bench, ["--l1-deadline", "500ms"])
        neighbour.kill()
        try await pullsRight(bench)
        let warm = try await bench.pull("acme/f:1", "file:\(bench("out"))", ["--l1", bench.l1])
        #expect(warm.tiers.l3.chunks == 0)
    }

    /// Two containers on one host: each process has the same number in a PID namespace of its own.
    @Test(
        .enabled(if: Workbench.isRoot && BuiltProgram.isInstalled("unshare"), "needs the right to make PID namespaces"))
    func containersWithOneL1() async throws {
        let bench = try await bench()
        let inContainer = ["unshare", "--pid", "--mount-proc", "--fork", "--kill-child"]
        let neighbour = try await standing(bench, wrapped: inContainer)
        for _ in 0..<3 {
            let words = try [Workbench.binary] + bench.pullArguments("acme/f:1", "file:\(bench("out"))")
            let second = try await ChildProcess(
                inContainer[0], inContainer.dropFirst() + words + ["--l1", bench.l1],
                environment: Workbench.unhurried, in: bench(".out")
            ).wait()
            #expect(second.status == 0, "\(second.error)")
            #expect(second.errorLines.count <= 1, "\(second.error)")
            #expect(try await bench.same(bench("in"), bench("out")))
            try await bench.shell("rm out")
        }
        neighbour.kill()
        try await pullsRight(bench)
    }

    /// A disk that turned read-only after an error, and one that became so with the store in use elsewhere.
    @Test(.enabled(if: FullDisk.isPossible, "needs the right to mount a tmpfs"))
    func diskThatIsReadOnly() async throws {
        let bench = try await bench()
        let disks = try await FullDisk(bench, ["l1": "64m"])
        defer { disks.unmount() }
        try await pullsRight(bench, ["--l1-capacity", "32MiB"])
        try await bench.shell("mount -o remount,ro l1")
        try await pullsRight(bench, ["--l1-capacity", "32MiB"])
        try await bench.shell("mount -o remount,rw l1")
        try await pullsRight(bench, ["--l1-capacity", "32MiB"])
    }
}
