import Foundation
import Glibc
import TestSupport
import Testing

/// Caches smaller than the image, full disks, and several processes on one L1.
@Suite struct SmallCacheTests {
    private func bench(_ bytes: Int = 24_000_000) async throws -> Workbench {
        let bench = try await Workbench()
        try await bench.python("write('in', noise(1, \(bytes)))")
        try await bench.push("file:\(bench("in"))", "acme/f:1")
        return bench
    }

    private static let capacity = 8 << 20

    @Test func cachesSmallerThanTheImage() async throws {
        let bench = try await bench()
        let daemon = try await Daemon(bench, capacity: "8MiB", memory: "1MiB")
        for round in 0..<3 {
            try await bench.pull(
                "acme/f:1", "file:\(bench("out"))", ["--l1", bench.l1, "--l1-capacity", "8MiB", "--l2", daemon.url])
            #expect(try await bench.same(bench("in"), bench("out")), "round \(round)")
            #expect(bench.diskBytes(bench.l1) <= Self.capacity)
            #expect(bench.diskBytes(bench.l1) > Self.capacity / 4)
            #expect(bench.diskBytes(bench("l2")) <= Self.capacity)
        }
        #expect(try await daemon.stop().status == 0)
    }

    /// An image larger than L1, pulled by one process after the other: what fits comes from L1.
    @Test func anImageLargerThanL1IsHitAgainAndAgain() async throws {
        let bench = try await bench()
        for round in 0..<4 {
            let answer = try await bench.pull(
                "acme/f:1", "file:\(bench("out"))", ["--l1", bench.l1, "--l1-capacity", "16MiB"])
            if round > 0 {
                let share = Double(answer.tiers.l1.chunks) / Double(answer.chunks.total)
                #expect(share > 0.25, "round \(round): \(answer.tiers.l1.chunks) of \(answer.chunks.total)")
            }
            #expect(bench.diskBytes(bench.l1) <= 16 << 20)
        }
        #expect(try await bench.same(bench("in"), bench("out")))
    }

    @Test func severalPullsShareOneL1() async throws {
        let bench = try await bench()
        var largest = 0
        let pulls = try (0..<4).map { index in
            try bench.start(
                bench.pullArguments("acme/f:1", "file:\(bench("out\(index)"))") + [
                    "--l1", bench.l1, "--l1-capacity", "8MiB",
                ])
        }
        try await eventually("the end of all pulls") {
            largest = max(largest, bench.diskBytes(bench.l1))
            return pulls.allSatisfy(\.hasEnded)
        }
        #expect(largest <= Self.capacity)
        for (index, pull) in pulls.enumerated() {
            let outcome = try await pull.wait()
            #expect(outcome.status == 0, "\(outcome.error)")
            #expect(try await bench.same(bench("in"), bench("out\(index)")))
        }
    }

    /// One of several users is killed again and again while the others go on.
    @Test func killedNeighboursAreSurvived() async throws {
        let bench = try await bench(8_000_000)
        let seed = UInt64.random(in: 0..<1_000_000)
        var generator = SeededGenerator(seed: seed)
        for round in 0..<5 {
            let arguments = { (name: String) in
                bench.pullArguments("acme/f:1", "file:\(bench(name))") + ["--l1", bench.l1, "--l1-capacity", "16MiB"]
            }
            let victim = try bench.start(arguments("victim"))
            let survivor = try bench.start(arguments("out"))
            try await bench.kill(
                victim, onceGrown: bench.path, by: Int.random(in: 0...16_000_000, using: &generator))
            let outcome = try await survivor.wait()
            #expect(outcome.status == 0, "seed \(seed), round \(round): \(outcome.error)")
            #expect(try await bench.same(bench("in"), bench("out")), "seed \(seed), round \(round)")
        }
    }

    /// Disks that are full long before the capacity is reached.
    @Test(.enabled(if: FullDisk.isPossible, "needs the right to mount a tmpfs"))
    func fullDisks() async throws {
        let bench = try await bench()
        let disks = try await FullDisk(bench, ["l1": "4m", "l2": "4m"])
        defer { disks.unmount() }
        let daemon = try await Daemon(bench, capacity: "1GiB", memory: "1MiB")
        for round in 0..<2 {
            try await bench.pull(
                "acme/f:1", "file:\(bench("out"))", ["--l1", bench.l1, "--l1-capacity", "1GiB", "--l2", daemon.url])
            #expect(try await bench.same(bench("in"), bench("out")), "round \(round)")
        }
        #expect(try await daemon.stop().status == 0)
    }

    /// A disk without room for even the first page: LMDB's reader table would be written through a map of a hole.
    @Test(.enabled(if: FullDisk.isPossible, "needs the right to mount a tmpfs"))
    func disksThatAreFullFromTheStart() async throws {
        let bench = try await bench()
        let disks = try await FullDisk(bench, ["l1": "1m", "l2": "1m"])
        defer { disks.unmount() }
        try await bench.shell("for disk in l1 l2; do dd if=/dev/zero of=$disk/fill bs=4k 2>/dev/null || true; done")
        let pull = try await bench.run(
            bench.pullArguments("acme/f:1", "file:\(bench("out"))") + ["--l1", bench.l1, "--l1-capacity", "64MiB"])
        #expect(pull.status == 0, "\(pull.error)")
        #expect(pull.error.contains("L1 cannot be used: going on without it"), "\(pull.error)")
        #expect(try await bench.same(bench("in"), bench("out")))
        let server = try await bench.fail([
            "server", "--listen", "127.0.0.1:0", "--store", bench("l2"), "--capacity", "64MiB",
        ])
        #expect(server.contains("lock.mdb"), "\(server)")
        #expect(server.contains("space"), "\(server)")
    }

    /// A user who may write to the directory must not be able to make another user write elsewhere.
    @Test func lockFilesAreNoLinks() async throws {
        let bench = try await bench(1_000_000)
        try await bench.shell("mkdir l1; echo 0123456789abcdef > victim; ln -s ../victim l1/use.lock")
        let pull = try await bench.run(
            bench.pullArguments("acme/f:1", "file:\(bench("out"))") + ["--l1", bench.l1, "--l1-capacity", "64MiB"])
        #expect(pull.status == 0, "\(pull.error)")
        #expect(pull.error.contains("use.lock"), "\(pull.error)")
        #expect(try bench.bytes(bench("victim")) == Data("0123456789abcdef\n".utf8))
    }

    /// A full L3 is an error of the push, and a pull onto a full disk one of the pull; both name the way.
    @Test(.enabled(if: FullDisk.isPossible, "needs the right to mount a tmpfs"))
    func fullDestinations() async throws {
        let bench = try await bench()
        let disks = try await FullDisk(bench, ["full": "4m"])
        defer { disks.unmount() }
        let push = try await bench.fail(
            ["push", "file:\(bench("in"))", "acme/f:1", "--l3", bench("full/l3"), "--keyring", bench.keyring])
        #expect(push.lowercased().contains("space"), "\(push)")
        try await bench.shell("rm -rf full/*")
        let pull = try await bench.fail(bench.pullArguments("acme/f:1", "file:\(bench("full/out"))"))
        #expect(pull.lowercased().contains("space"), "\(pull)")
        #expect(pull.contains("full/"), "\(pull)")
        #expect(!FileManager.default.fileExists(atPath: bench("full/out")))
    }
}

/// Small file systems in memory, mounted below a workbench.
struct FullDisk {
    private let paths: [String]

    static let isPossible = Workbench.isRoot && canMount()

    init(_ bench: Workbench, _ sizes: [String: String]) async throws {
        paths = sizes.keys.map { bench($0) }
        for (name, size) in sizes {
            try await bench.shell("mkdir \(name) && mount -t tmpfs -o size=\(size) tmpfs \(name)")
        }
    }

    func unmount() {
        for path in paths { umount2(path, Int32(MNT_DETACH)) }
    }

    private static func canMount() -> Bool {
        guard let place = try? TemporaryDirectory(),
            mount("tmpfs", place.path, "tmpfs", 0, "size=1m") == 0
        else { return false }
        umount2(place.path, Int32(MNT_DETACH))
        return true
    }
}
