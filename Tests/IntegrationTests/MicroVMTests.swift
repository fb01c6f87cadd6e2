import Foundation
import Glibc
import TestSupport
import Testing

/// A microVM whose root is an image behind `layercache nbd`: the guest's kernel reads it, and Python runs from it.
@Suite struct MicroVMTests {
    /// Serves an image until `body` is done; a signal ends it with status 0 and without a socket.
    private func serving(
        _ bench: Workbench, _ ref: String, _ more: [String] = [], _ body: (_ socket: String) async throws -> Void
    ) async throws {
        let socket = bench("nbd.sock")
        let server = try bench.start(
            ["nbd", ref, "--socket", socket, "--l3", bench.l3, "--keyring", bench.keyring, "--json"] + more)
        let ready = try JSONDecoder().decode(Ready.self, from: Data(try await server.firstLine().utf8))
        #expect(ready.ref == ref && ready.socket == socket && ready.bytes % 4096 == 0)
        try await body(socket)
        server.signal(SIGTERM)
        let outcome = try await server.wait()
        #expect(outcome.status == 0, "\(outcome.error)")
        #expect(outcome.error.isEmpty)
        #expect(!FileManager.default.fileExists(atPath: socket))
    }

    private struct Ready: Decodable {
        let ref: String
        let socket: String
        let bytes: Int
    }

    @Test(
        "a filesystem that others made, pushed as a raw file, boots over NBD as it does from the file",
        .enabled(if: MicroVM.isPossible, "needs QEMU, busybox, erofs-utils and Debian's cloud kernel"))
    func rawFile() async throws {
        let bench = try await Workbench()
        try await MicroVM.makeRoot(bench)
        try await bench.shell("mkfs.erofs root.erofs root")
        let expected = try await MicroVM.hash(of: "root", bench)
        let command = ["/usr/bin/python", "-c", MicroVM.hashOfTree, ""]
        #expect(try await MicroVM.run(bench("root.erofs"), command, ["--direct"]).output == expected)
        try await bench.push("file:\(bench("root.erofs"))", "acme/disk:1")
        try await serving(bench, "acme/disk:1") { socket in
            let answer = try await MicroVM.run("nbd:unix:\(socket)", command)
            #expect(answer.output == expected, "\(answer)")
        }
    }

    @Test(
        "a pushed image boots over NBD, and the guest reads every file of it as it was",
        .enabled(if: MicroVM.isPossible, "needs QEMU, busybox, erofs-utils and Debian's cloud kernel"))
    func image() async throws {
        let bench = try await Workbench()
        try await MicroVM.makeRoot(bench)
        let expected = try await MicroVM.hash(of: "root", bench)
        try await bench.push("dir:\(bench("root"))", "acme/python:1")
        try await serving(bench, "acme/python:1", ["--l1", bench.l1]) { socket in
            let answer = try await MicroVM.run(
                "nbd:unix:\(socket)", ["/usr/bin/python", "-c", MicroVM.hashOfTree, ""])
            #expect(answer.output == expected, "\(answer)")
        }
        // Again, with L3 gone: what the first guest read is in L1.
        try await bench.shell("mv l3 away")
        try await serving(bench, "acme/python:1", ["--l1", bench.l1]) { socket in
            let answer = try await MicroVM.run(
                "nbd:unix:\(socket)", ["/usr/bin/python", "-c", MicroVM.hashOfTree, ""])
            #expect(answer.output == expected, "\(answer)")
        }
    }

    @Test(
        "a pushed image boots from the file of the worker's device, through the page cache and with O_DIRECT",
        .enabled(if: MicroVM.isPossible && WorkerHost.canMount, "needs what a guest needs and what a mount needs"))
    func deviceFile() async throws {
        let host = try await WorkerHost()
        let bench = host.bench
        try await MicroVM.makeRoot(bench)
        let expected = try await MicroVM.hash(of: "root", bench)
        try await bench.push("dir:\(bench("root"))", "acme/python:1")
        let worker = try await host.startWorker()
        try await bench.succeed(["mount", "acme/python:1", try host.target("m"), "--socket", host.socket])
        let device = try #require(try await host.status().mounts.first?.device)
        for options in [[], ["--direct"]] {
            let answer = try await MicroVM.run(
                device, ["/usr/bin/python", "-c", MicroVM.hashOfTree, ""], options)
            #expect(answer.output == expected, "\(options) \(answer)")
        }
        worker.signal(SIGTERM)
        #expect(try await worker.wait().status == 0)
    }
}
