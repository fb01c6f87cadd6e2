import Foundation
import Glibc
import TestSupport
import Testing

/// The disk under L1 fails: readers get right bytes from the tiers below, and the log says what is ill.
@Suite(.enabled(if: FailingDisk.isPossible, Comment(rawValue: FailingDisk.needs)), .serialized)
struct FailingL1Tests {
    /// A disk that fails says so at once; one that does not answer is waited for so long.
    private func deadline(_ fault: FailingDisk.Fault) -> [String] {
        [.slow, .silent].contains(fault) ? ["--l1-deadline", "1s"] : []
    }

    @Test("a pull whose L1 has all of the image, on a disk that fails", arguments: FailingDisk.Fault.allCases)
    func pull(_ fault: FailingDisk.Fault) async throws {
        let bench = try await Workbench()
        let disk = try await FailingDisk(bench, "disk")
        try await bench.python("write('in', noise(1, 6_000_000))")
        try await bench.push("file:\(bench("in"))", "acme/f:1")
        let daemon = try await Daemon(bench, memory: "16MiB")
        let tiers = ["--l1", bench("disk/l1"), "--l1-capacity", "32MiB", "--l2", daemon.url]
        // L1 and L2 have it then.
        let first = try await bench.pull("acme/f:1", "file:\(bench("first"))", tiers)
        #expect(first.tiers.l3.chunks == first.chunks.total)
        try await bench.shell("sync --file-system disk")
        try await disk.forget()
        try await disk.begin(fault)
        let process = try bench.start(
            bench.pullArguments("acme/f:1", "file:\(bench("out"))") + tiers + deadline(fault))
        // Whole while the disk is still ill. That the process ends may have to wait for the disk: the kernel keeps a
        // thread that waits for one.
        try await eventually("the file") { process.hasEnded || FileStatus(bench("out")) != nil }
        #expect(try await bench.same(bench("in"), bench("out")))
        try disk.end(fault)
        let outcome = try await process.wait()
        try #require(outcome.status == 0, "\(outcome.error)")
        let answer = try JSONDecoder().decode(PullAnswer.self, from: Data(outcome.output.utf8))
        #expect(answer.tiers.l3.chunks == 0)
        #expect(answer.tiers.l1.chunks == (fault == .write ? answer.chunks.total : 0) || fault == .slow)
        // A disk that takes no writes is read as ever, and a pull that reads needs no more.
        #expect(outcome.error.contains("going on without it") == (fault != .write), "\(outcome.error)")
        #expect(!outcome.error.contains("starts empty"), "\(outcome.error)")
        // The disk is well, and L1 has what it had.
        let again = try await bench.pull("acme/f:1", "file:\(bench("again"))", tiers)
        #expect(again.tiers.l1.chunks == again.chunks.total)
    }

    @Test(
        "an image that is mounted above an L1 whose disk fails", .enabled(if: WorkerHost.canMount),
        arguments: [FailingDisk.Fault.write, .read, .silent])
    func mount(_ fault: FailingDisk.Fault) async throws {
        let host = try await WorkerHost()
        let disk = try await FailingDisk(host.bench, "l1")
        let worker = try await host.startWorker(["--memory", "64KiB"] + deadline(fault))
        let target = try host.target("m")
        try await host.mount(target, ["--prefetch", "none"])
        // It is in L1 then, but for what the disk is not to take.
        if fault != .write {
            try await host.compare(target)
            try await host.forget(target)
        }
        try await disk.forget()
        try await disk.begin(fault)
        for _ in 0..<2 {
            try await host.compare(target)
            try await host.forget(target)
        }
        // What does not answer is passed over, and told when that happens again and again; the rest is told or counted.
        if fault != .silent {
            try await host.eventually("a word about \(fault)") {
                try await host.compare(target)
                try await host.forget(target)
                let log = try worker.text(worker.errorPath)
                if fault == .write { return log.contains("chunk store cannot write; reads go on") }
                // The index may be in memory: then only chunks are lost.
                let dropped = try await host.numbers(target).repaired.l1
                return dropped > 0 || log.contains("chunk store is out of order")
            }
        }
        #expect(try await host.numbers(target).tiers.l3.chunks > 0)
        try disk.end(fault)
        try await host.compare(target)
        try await host.unmount(target)
        worker.signal(SIGTERM)
        #expect(try await worker.wait(atMost: WorkerHost.patience).status == 0)
    }
}
