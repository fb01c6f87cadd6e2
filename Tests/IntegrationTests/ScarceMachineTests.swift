import Foundation
import Glibc
import TestSupport
import Testing

/// Machines that have little of something: a verb says so in a line, or goes on with less.
@Suite struct ScarceMachineTests {
    /// For a shell: lets go of what these tests have open, and a child would have too.
    private static let closing =
        "for n in /proc/$$/fd/*; do n=${n##*/}; if [ $n -gt 2 ]; then eval \"exec $n>&-\"; fi; done"

    private func bench() async throws -> Workbench {
        let bench = try await Workbench()
        try await bench.shell("head -c 3000000 /dev/urandom > f; mkdir d; echo x > d/x; touch -d 1901-12-20 d/old")
        try await bench.push("file:\(bench("f"))", "acme/a:1")
        return bench
    }

    private func verbs(_ bench: Workbench, l1: Bool = true) -> [[String]] {
        let common = ["--l3", bench.l3, "--keyring", bench.keyring]
        let tiers = ["--l2", "http://127.0.0.1:9"] + (l1 ? ["--l1", bench.l1, "--l1-capacity", "64MiB"] : [])
        return [
            ["pull", "acme/a:1", "file:\(bench("o"))"] + tiers + common,
            ["push", "dir:\(bench("d"))", "acme/d:1"] + common, ["verify", "acme/a:1"] + common,
            ["ls", "--l3", bench.l3], ["keygen", "acme", "--keyring", bench("new.json")],
        ]
    }

    /// Runs verbs after a line of shell; each ends with 0, or with 1 and one line.
    /// - Returns: how many ended with 0.
    @discardableResult
    private func run(
        _ bench: Workbench, _ shell: String, _ verbs: [[String]], through program: [String] = []
    ) async throws -> Int {
        var successes = 0
        for verb in verbs {
            for name in ["new.json", "o"] { unlink(bench(name)) }
            let outcome = try await ChildProcess(
                "/bin/bash",
                ["-c", "\(Self.closing)\n\(shell)\nexec \"$@\"", "bash"] + program + [Workbench.binary] + verb,
                in: bench(".out")
            ).wait()
            let what = "\(shell): \(verb[0]): \(outcome.status ?? -1), signal \(outcome.signal ?? 0): \(outcome.error)"
            #expect(outcome.status == 0 || outcome.status == 1 && outcome.errorLines.count == 1, "\(what)")
            #expect(!outcome.output.contains("OVERVIEW"), "\(what)")
            if outcome.status == 0 { successes += 1 }
        }
        return successes
    }

    @Test func fewDescriptors() async throws {
        let bench = try await bench()
        for limit in [6, 16, 40, 50] {
            #expect(try await run(bench, "ulimit -n \(limit)", verbs(bench)) == 0, "\(limit)")
        }
        for limit in [51, 64] {
            #expect(try await run(bench, "ulimit -n \(limit)", verbs(bench)) == 5, "\(limit)")
        }
        let server = [
            "server", "--listen", "127.0.0.1:0", "--store", bench("s"), "--capacity", "64MiB", "--threads", "900",
        ]
        #expect(try await run(bench, "ulimit -n 1000", [server]) == 0)
    }

    /// Each of 256 directories of chunks could stay open.
    @Test func aSoftLimitIsRaisedAndAHardOneKept() async throws {
        let bench = try await Workbench()
        try await bench.shell("head -c 80000000 /dev/urandom > g")
        for limit in ["ulimit -Sn 64", "ulimit -n 64"] {
            let outcome = try await ChildProcess(
                "/bin/bash",
                [
                    "-c",
                    """
                    \(Self.closing)
                    set -e; \(limit); P='--keyring \(bench.keyring) --quiet'; cd \(bench.path); rm -rf l3
                    "$0" push file:g acme/g:1 --l3 l3 $P; "$0" pull acme/g:1 file:o --l3 l3 $P; cmp g o
                    "$0" verify acme/g:1 --l3 l3 $P
                    """, Workbench.binary,
                ], in: bench(".out")
            ).wait()
            #expect(outcome.status == 0, "\(limit): \(outcome.error)")
        }
    }

    @Test(.enabled(if: Workbench.isRoot && BuiltProgram.isInstalled("setpriv"))) func fewThreads() async throws {
        let bench = try await bench()
        // A user number that no other process has: the limit counts all processes of a user, and root has no such
        // limit.
        let user = 3_000_000 + Int.random(in: 0..<1_000_000)
        try await bench.shell("chown -R \(user) . && chmod 755 . && cp '\(Workbench.binary)' lc && chmod 755 lc")
        let program = ["setpriv", "--reuid", "\(user)", "--clear-groups"]
        for limit in [1, 5, 20, 28] {
            // A binary that is built for coverage would complain that this user cannot write its profile.
            let shell =
                "export LLVM_PROFILE_FILE=/dev/null; ulimit -u \(limit); shift 5; "
                + "set -- \(program.joined(separator: " ")) '\(bench("lc"))' \"$@\""
            #expect(try await run(bench, shell, verbs(bench), through: program) == 0, "\(limit)")
            try await bench.shell("chown -R \(user) .")
        }
    }

    @Test func littleAddressSpace() async throws {
        let bench = try await bench()
        for limit in [250_000, 400_000, 500_000, 600_000] {
            #expect(try await run(bench, "ulimit -v \(limit)", verbs(bench)) == 0, "\(limit)")
        }
        for limit in [900_000, 1_200_000, 2_500_000] {
            #expect(try await run(bench, "ulimit -v \(limit)", verbs(bench, l1: false)) == 5, "\(limit)")
            // An L1 that is too large for it is left out.
            let pull = bench.pullArguments("acme/a:1", "file:\(bench("o"))") + ["--l1", bench("l1-\(limit)")]
            for capacity in ["1GiB", "10GiB"] {
                #expect(
                    try await run(bench, "ulimit -v \(limit)", [pull + ["--l1-capacity", capacity]]) == 1, "\(limit)")
            }
        }
        for limit in [20_000, 100_000, 200_000] {
            #expect(try await run(bench, "ulimit -d \(limit)", verbs(bench)) == 0, "\(limit)")
        }
    }

    @Test(.enabled(if: Workbench.isRoot && BuiltProgram.isInstalled("unshare"))) func withoutProc() async throws {
        let bench = try await bench()
        let probe = try await ChildProcess("unshare", ["-m", "true"], in: bench(".out")).wait()
        guard probe.status == 0 else { return }
        // Whether it stands in a container of its own makes no difference.
        let shell = "umount -l /proc"
        for verb in verbs(bench) + [["--help"]] {
            let outcome = try await ChildProcess(
                "unshare",
                ["-m", "--propagation", "private", "/bin/bash", "-c", "\(shell); exec \"$0\" \"$@\"", Workbench.binary]
                    + verb, in: bench(".out")
            ).wait()
            #expect(outcome.status == 1, "\(verb[0]): \(outcome.error)")
            #expect(outcome.errorLines.count == 1, "\(verb[0]): \(outcome.error)")
            #expect(outcome.error.contains("/proc"))
            #expect(outcome.output.isEmpty)
        }
    }

    /// A board without a battery starts in 1970, one with a bad one before.
    @Test(.enabled(if: BuiltProgram.isInstalled("gcc"))) func aClockBefore1970() async throws {
        let bench = try await bench()
        try await bench.shell(
            #"""
            cat > clock.c <<'END'
            #define _GNU_SOURCE
            #include <sys/syscall.h>
            #include <sys/time.h>
            #include <time.h>
            #include <unistd.h>
            int clock_gettime(clockid_t clock, struct timespec *now) {
                int result = syscall(SYS_clock_gettime, clock, now);
                if (result == 0 && clock != CLOCK_MONOTONIC && clock < 7 && (clock == CLOCK_REALTIME || clock == \#
            CLOCK_REALTIME_COARSE))
                    now->tv_sec -= 4000000000L;
                return result;
            }
            int gettimeofday(struct timeval *now, void *zone) {
                struct timespec time;
                clock_gettime(CLOCK_REALTIME, &time);
                now->tv_sec = time.tv_sec;
                now->tv_usec = time.tv_nsec / 1000;
                return 0;
            }
            time_t time(time_t *now) {
                struct timespec time;
                clock_gettime(CLOCK_REALTIME, &time);
                if (now) *now = time.tv_sec;
                return time.tv_sec;
            }
            END
            gcc -shared -fPIC -o clock.so clock.c
            """#)
        let shell = "export LD_PRELOAD=\(bench("clock.so"))"
        let new = ["push", "file:\(bench("f"))", "acme/n:1", "--l3", bench("new-l3"), "--keyring", bench.keyring]
        #expect(try await run(bench, shell, verbs(bench) + [new]) == 6)
        let pulled = try await bench.shell(
            "\(shell); '\(Workbench.binary)' pull acme/d:1 dir:out --l3 l3 --keyring keys.json --quiet; cat out/x")
        #expect(pulled == "x\n")
    }

    @Test func withoutWhatAProcessUsuallyHas() async throws {
        let bench = try await bench()
        let pull = bench.pullArguments("acme/a:1", "file:\(bench("o"))")
        #expect(try await run(bench, "exec 0<&-", [pull]) == 1)
        #expect(try await run(bench, "true", [pull], through: ["env", "-i"]) == 1)
        #expect(try await run(bench, "unset HOME; export TMPDIR=/nonexistent", [pull]) == 1)
        let relative = bench.pullArguments("acme/a:1", "file:o")
        #expect(
            try await run(
                bench, "mkdir '\(bench("gone"))'; cd '\(bench("gone"))'; rmdir '\(bench("gone"))'", [relative]) == 0)
        // A file that may not grow is an error of its write; so would be the profile of a binary built for coverage.
        #expect(try await run(bench, "ulimit -f 100; export LLVM_PROFILE_FILE=/dev/null", [pull]) == 0)
    }
}
