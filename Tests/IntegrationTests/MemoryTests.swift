import Foundation
import TestSupport
import Testing

/// Resident memory of real processes, at images larger than what they may use.
@Suite struct MemoryTests {
    private static let bound = 300 << 20

    @Test func pullsStayWithinTheirBound() async throws {
        let bench = try await Workbench()
        try await bench.shell("head -c 340000000 /dev/urandom > noise && tar -cf in.tar noise && rm noise")
        try await bench.push("tar:\(bench("in.tar"))", "acme/noise:1")
        try await takenSlowly(bench)
        try await throughL1(bench, "1GiB", rounds: 2)
        try await throughL1(bench, "300MiB", rounds: 1)
    }

    /// What has been read and is not taken yet is bounded, however slow the one is who takes it.
    private func takenSlowly(_ bench: Workbench) async throws {
        try await bench.shell("mkfifo out")
        let taker = try ChildProcess(
            "python3",
            [
                "-c",
                """
                import time
                with open('\(bench("out"))', 'rb', buffering=0) as pipe:
                    while pipe.read(1 << 16): time.sleep(0.0003)
                """,
            ], in: bench(".out"))
        #expect(try await peak(of: bench.pullArguments("acme/noise:1", "tar:\(bench("out"))"), bench) < Self.bound)
        #expect(try await taker.wait().status == 0)
    }

    /// Pages of L1's files do not stay in the process: not of chunks that were read, and not of those that made room
    /// for others.
    private func throughL1(_ bench: Workbench, _ capacity: String, rounds: Int) async throws {
        try await bench.shell("rm -rf l1")
        for round in 0..<rounds {
            let pull =
                bench.pullArguments("acme/noise:1", "tar:\(bench("out.tar"))") + [
                    "--l1", bench.l1, "--l1-capacity", capacity,
                ]
            #expect(try await peak(of: pull, bench) < Self.bound, "\(capacity), round \(round)")
        }
        #expect(try await bench.same(bench("in.tar"), bench("out.tar")))
    }

    /// Chunks of all sizes come in, and go out again from the disk: what leaves memory for them leaves the process, and
    /// neither the index that is mapped nor free pieces of the allocator add to what the operator allows.
    @Test func aDaemonKeepsToItsMemory() async throws {
        let bench = try await Workbench()
        let daemon = try await Daemon(store: bench("l2"), memory: "128MiB", in: bench(".out"))
        let answer = try await bench.python(
            """
            import hashlib, http.client, os
            noise = os.urandom(1 << 19)
            def chunk(number): return number.to_bytes(8, 'little') + noise[:20000 + number * 506048 % 500000]
            client = http.client.HTTPConnection('127.0.0.1', \(daemon.port))
            def ask(method, number, body=None):
                name = hashlib.sha256(chunk(number)).hexdigest()
                client.request(method, f'/v1/chunks/{name}', body)
                answer = client.getresponse()
                got = answer.read()
                assert answer.status in (200, 201), (method, number, answer.status, got)
                return got
            for number in range(1600): ask('PUT', number, chunk(number))
            for number in range(1600): assert ask('GET', number) == chunk(number)
            status = open('/proc/\(daemon.process.pid)/status').read()
            print(status.split('VmHWM:')[1].split()[0])
            """)
        let kibibytes = try #require(Int(answer.trimmingCharacters(in: .newlines)))
        #expect(kibibytes > 128 << 10 && kibibytes < (128 + 100) << 10, "\(kibibytes) KiB")
    }

    /// Runs a verb that must succeed: the most memory that was resident, in bytes, as the kernel has counted it.
    private func peak(of arguments: [String], _ bench: Workbench) async throws -> Int {
        // A small process in between: a child's count begins with what its parent had.
        let answer = try await bench.python(
            """
            import resource
            subprocess.run(\([Workbench.binary] + arguments), stdout=subprocess.DEVNULL, check=True)
            print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
            """)
        let kibibytes = try #require(Int(answer.trimmingCharacters(in: .newlines)))
        #expect(kibibytes > 0)
        return kibibytes << 10
    }
}
