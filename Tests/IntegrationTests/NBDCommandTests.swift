import Foundation
import Glibc
import TestSupport
import Testing

/// `layercache nbd`, used by the tools of others.
@Suite struct NBDCommandTests {
    private static let hasTools = BuiltProgram.isInstalled("nbdcopy") && BuiltProgram.isInstalled("qemu-img")

    private func arguments(_ bench: Workbench, _ ref: String, _ more: [String] = []) -> [String] {
        ["nbd", ref, "--socket", bench("s"), "--l3", bench.l3, "--keyring", bench.keyring, "--json"] + more
    }

    @Test(
        "a raw file of odd length is its bytes and zeros up to a block",
        .enabled(if: hasTools, "needs libnbd-bin, qemu-utils"))
    func rawFile() async throws {
        let bench = try await Workbench()
        try await bench.python("write('in', noise(1, 5_000_001) + bytes(3_000_000) + noise(2, 12_345))")
        try await bench.push("file:\(bench("in"))", "acme/f:1")
        let server = try bench.start(arguments(bench, "acme/f:1"))
        _ = try await server.firstLine()
        try await bench.shell(
            """
            cp in padded; truncate -s %4096 padded
            nbdcopy 'nbd+unix:///?socket=s' out; cmp out padded
            qemu-img compare -f raw -F raw padded nbd:unix:$PWD/s
            nbdinfo --map --totals 'nbd+unix:///?socket=s' > map
            grep -q 'hole,zero' map
            """)
        server.signal(SIGINT)
        #expect(try await server.wait().status == 0)
        #expect(!FileManager.default.fileExists(atPath: bench("s")))
    }

    @Test(
        "an image is a filesystem that fsck.erofs accepts",
        .enabled(if: hasTools && BuiltProgram.isInstalled("fsck.erofs"), "needs libnbd-bin, erofs-utils"))
    func image() async throws {
        let bench = try await Workbench()
        try await bench.python("image('in', [base(), app()])")
        try await bench.push("oci:\(bench("in")):latest", "acme/app:1")
        let server = try bench.start(arguments(bench, "acme/app:1", ["--prefetch", "all", "--connections", "4"]))
        _ = try await server.firstLine()
        try await bench.shell("nbdcopy --connections=4 'nbd+unix:///?socket=s' out; fsck.erofs out")
        // A second server does not take the socket of the first.
        let line = try await bench.fail(arguments(bench, "acme/app:1"))
        #expect(line.contains("somebody listens"))
        server.kill()
        // But that of one that was killed.
        let next = try bench.start(arguments(bench, "acme/app:1"))
        _ = try await next.firstLine()
        try await bench.shell("nbdcopy 'nbd+unix:///?socket=s' again; cmp out again")
        next.signal(SIGTERM)
        #expect(try await next.wait().status == 0)
    }

    @Test(
        "chunks that no tier has are EIO for the reader, and reads work again once they are back",
        .enabled(if: hasTools, "needs libnbd-bin, qemu-utils"))
    func lossOfChunks() async throws {
        let bench = try await Workbench()
        try await bench.python("write('in', noise(1, 4_194_304))")
        try await bench.push("file:\(bench("in"))", "acme/f:1")
        let server = try bench.start(arguments(bench, "acme/f:1", ["--prefetch", "none"]))
        _ = try await server.firstLine()
        try await bench.shell(
            """
            mkdir away; mv l3/generations/*/chunks/* away
            ! nbdcopy 'nbd+unix:///?socket=s' out 2> err
            grep -qi 'input/output' err
            mv away/* l3/generations/*/chunks
            """)
        // What failed is left alone for a while by the cache itself.
        try await eventually("a good copy") {
            try await ChildProcess("nbdcopy", ["nbd+unix:///?socket=\(bench("s"))", bench("out")]).wait().status == 0
        }
        #expect(try await bench.same(bench("in"), bench("out")))
        server.signal(SIGTERM)
        let outcome = try await server.wait()
        #expect(outcome.status == 0)
        // Why reads failed is told, though not for each.
        #expect((1...100).contains(outcome.errorLines.count), "\(outcome.error)")
    }

    @Test("what cannot be served is one line or bad usage")
    func failures() async throws {
        let bench = try await Workbench()
        try await bench.python("write('in', noise(1, 1000))")
        try await bench.push("file:\(bench("in"))", "acme/f:1")
        try await bench.fail(arguments(bench, "acme/g:1"))
        try bench.write(Data([1]), bench("s"))
        #expect(try await bench.fail(arguments(bench, "acme/f:1")).contains("no socket"))
        #expect(try bench.bytes(bench("s")) == Data([1]))
        try await bench.fail(arguments(bench, "acme/f:1", ["--prefetch", "some"]), status: 2)
        try await bench.fail(arguments(bench, "acme/f:1", ["--connections", "0"]), status: 2)
        try await bench.fail(["nbd", "acme/f:1"], status: 2)
    }
}
