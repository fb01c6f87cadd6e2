import Foundation
import Glibc
import TestSupport
import Testing

/// With L3 moved away a host pulls again what it pulled before, and says that it could not ask what the ref names.
@Suite struct L3AwayTests {
    private func bench() async throws -> Workbench {
        let bench = try await Workbench()
        try await bench.python("image('image', [base(), app()], ['+gzip', ''])")
        try await bench.push("oci:\(bench("image")):latest", "acme/app:1")
        return bench
    }

    /// Pulls the image with the tiers that `more` names and compares it with what was pushed.
    @discardableResult
    private func pull(_ bench: Workbench, _ more: [String], checked: Bool) async throws -> PullAnswer {
        try await bench.shell("rm -rf out")
        let answer = try await bench.pull("acme/app:1", "oci:\(bench("out")):1", more)
        #expect(try await bench.python("truth('out')") == bench.python("truth('image')"))
        #expect(answer.refChecked == (checked ? nil : false))
        return answer
    }

    /// Pulls as a host that has nothing, until L2 has all that it takes: on a machine that is busy a pull does not wait
    /// until L2 has it.
    private func fillL2(_ bench: Workbench, _ daemon: Daemon) async throws {
        for _ in 0..<20 {
            try await bench.shell("rm -rf cold")
            let more = ["--l1", bench("cold"), "--l2", daemon.url]
            if try await pull(bench, more, checked: true).tiers.l3.chunks == 0 { return }
        }
        Issue.record("L2 was not filled")
    }

    @Test func whatWasPulledIsPulledAgain() async throws {
        let bench = try await bench()
        var daemon = try await Daemon(bench)
        try await pull(bench, ["--l1", bench.l1, "--l2", daemon.url], checked: true)
        try await bench.shell("mv l3 moved")
        let both = try await pull(bench, ["--l1", bench.l1, "--l2", daemon.url], checked: false)
        #expect(both.tiers.l3.chunks == 0)
        #expect(both.tiers.l2.chunks == 0)
        #expect(both.tiers.l1.chunks > 0)
        try await pull(bench, ["--l1", bench.l1], checked: false)

        // Both have been started anew, and L1 has lost its chunks.
        try await bench.shell("mv moved l3")
        try await fillL2(bench, daemon)
        try await bench.shell("mv l3 moved")
        _ = try await daemon.stop()
        daemon = try await Daemon(bench)
        try await bench.shell("rm l1/data.mdb")
        let fromL2 = try await pull(bench, ["--l1", bench.l1, "--l2", daemon.url], checked: false)
        #expect(fromL2.tiers.l2.chunks == both.tiers.l1.chunks)
        #expect(fromL2.repaired.l1 > 0)
        daemon.kill()
        try await pull(bench, ["--l1", bench.l1, "--l2", daemon.url], checked: false)

        let people = try await bench.succeed(
            [
                "pull", "acme/app:1", "oci-archive:\(bench("out.tar"))", "--l3", bench.l3, "--keyring", bench.keyring,
                "--l1", bench.l1,
            ])
        #expect(people.contains("acme/app:1 could not be checked, L3 is away"))
        try await bench.shell("mv moved l3")
        try await pull(bench, ["--l1", bench.l1], checked: true)
    }

    @Test func whatIsNotKnownIsOneLine() async throws {
        let bench = try await bench()
        let daemon = try await Daemon(bench)
        try await pull(bench, ["--l1", bench.l1, "--l2", daemon.url], checked: true)
        try await bench.shell("mv l3 moved")
        func line(_ ref: String, _ more: [String]) async throws -> String {
            try await bench.fail(bench.pullArguments(ref, "oci:\(bench("none")):1") + more)
        }
        let other = try await line("acme/app:2", ["--l1", bench.l1, "--l2", daemon.url])
        #expect(other.contains("L3 is away and this host has not seen acme/app:2"))
        #expect(other.contains(bench.l3))
        // Another host, for which L2 has all that it takes, but no word on what the ref names.
        let host = try await line("acme/app:1", ["--l1", bench("l1-of-another"), "--l2", daemon.url])
        #expect(host.contains("this host has not seen acme/app:1"))
        // Without L1 nothing is remembered.
        #expect(try await line("acme/app:1", ["--l2", daemon.url]).contains(bench.l3))
        // It knows the ref, and has lost the rest.
        try await bench.shell("rm l1/data.mdb")
        let lost = try await bench.run(
            bench.pullArguments("acme/app:1", "oci:\(bench("none")):1") + ["--l1", bench.l1])
        #expect(lost.status == 1, "\(lost.error)")
        #expect(lost.error.contains("this host has not all of acme/app:1"), "\(lost.error)")
        #expect(!FileManager.default.fileExists(atPath: bench("none")))
        try await bench.fail(["inspect", "acme/app:1", "--l3", bench.l3, "--keyring", bench.keyring])
        try await bench.fail(["ls", "--l3", bench.l3])
        #expect(!FileManager.default.fileExists(atPath: bench.l3))
    }

    /// L3 is there, and its word counts: a ref that is gone, one that names another image.
    @Test func theWordOfL3Counts() async throws {
        let bench = try await bench()
        try await pull(bench, ["--l1", bench.l1], checked: true)
        try await bench.push("oci:\(bench("image")):latest", "acme/other:1")
        try await bench.shell("rm -r l3/refs/acme/app")
        let arguments = bench.pullArguments("acme/app:1", "oci:\(bench("none")):1") + ["--l1", bench.l1]
        #expect(try await bench.fail(arguments).contains("there is no image acme/app:1 in L3"))
        try await bench.shell("mv l3 moved")
        #expect(try await bench.fail(arguments).contains("has not seen"))
        // A mount point on which nothing is mounted is no L3 that has lost all its refs.
        try await bench.shell("mv moved l3")
        try await bench.push("oci:\(bench("image")):latest", "acme/app:1")
        try await pull(bench, ["--l1", bench.l1], checked: true)
        try await bench.shell("mv l3 moved && mkdir l3")
        try await pull(bench, ["--l1", bench.l1], checked: false)
    }

    /// Pulls that are killed, several at once, and a file of remembered refs that a disk has spoiled.
    @Test func whatIsRememberedSurvives() async throws {
        let bench = try await bench()
        try await pull(bench, ["--l1", bench.l1], checked: true)
        for round in 0..<6 {
            let pulls = try (0..<3).map {
                try bench.start(
                    bench.pullArguments("acme/app:1", "oci:\(bench("k\(round)-\($0)")):1") + ["--l1", bench.l1])
            }
            for process in pulls.dropLast() { process.kill() }
            for process in pulls { _ = try await process.wait() }
        }
        try await bench.shell("mv l3 moved")
        try await pull(bench, ["--l1", bench.l1], checked: false)
        for damage in [
            "head -c 128 /dev/urandom > l1/refs", ": > l1/refs", "printf x | dd of=l1/refs bs=1 seek=70 conv=notrunc",
        ] {
            try await bench.shell("cp l1/refs whole; \(damage)")
            let outcome = try await bench.run(
                bench.pullArguments("acme/app:1", "oci:\(bench("none")):1") + ["--l1", bench.l1])
            #expect(outcome.status == 1)
            #expect(outcome.error.contains("this host has not seen acme/app:1"))
            #expect(outcome.errorLines.count <= 2, "\(outcome.error)")
            try await bench.shell("cp whole l1/refs")
            try await pull(bench, ["--l1", bench.l1], checked: false)
        }
    }

    /// The configuration is in the manifest, and makes it longer than the 512 KiB of a chunk.
    @Test func aManifestThatIsLongerThanAChunk() async throws {
        let bench = try await Workbench()
        try await bench.python("image('image', [base()], env=['NOISE=' + noise(1, 700_000).hex()])")
        try await bench.push("oci:\(bench("image")):latest", "acme/app:1")
        let sizes = try bench.files(below: bench.l3).filter { $0.contains("/manifests/") }.map {
            try bench.bytes($0).count
        }
        #expect((sizes.max() ?? 0) > 512 << 10)
        let daemon = try await Daemon(bench)
        try await pull(bench, ["--l1", bench.l1, "--l2", daemon.url], checked: true)
        try await bench.shell("mv l3 moved")
        try await pull(bench, ["--l1", bench.l1, "--l2", daemon.url], checked: false)
        try await pull(bench, ["--l1", bench.l1], checked: false)
    }
}
