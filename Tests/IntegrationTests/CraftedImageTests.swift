import CacheCore
import Foundation
import Glibc
import TestSupport
import Testing

/// Images that nobody pushed so: each is mounted or refused with one line, and the worker goes on.
@Suite(.enabled(if: WorkerHost.canMount, Comment(rawValue: WorkerHost.needs)), .serialized)
struct CraftedImageTests {
    private struct Bench {
        let host: WorkerHost
        let worker: ChildProcess
        let forged: ForgedImages
        let target: String

        init() async throws {
            host = try await WorkerHost()
            forged = try await ForgedImages(host.bench)
            target = try host.target("m")
            worker = try host.bench.start(host.workerArguments)
            try await eventually("an answer") { [host] in (try? await host.status()) != nil }
        }

        /// Mounts an image and has a program look at all of it, whatever it finds; or the line of the refusal.
        func attempt(_ reference: String) async throws -> String? {
            let outcome = try await host.bench.run(["mount", reference, target, "--socket", host.socket])
            if outcome.status == 0 {
                try await host.bench.shell(
                    "timeout 60 find targets/m -ls > /dev/null 2>&1 || true; "
                        + "timeout 60 cat targets/m/hello targets/m/big > /dev/null 2>&1 || true")
                try await host.bench.succeed(["unmount", target, "--socket", host.socket])
                return nil
            }
            #expect(outcome.status == 1 && outcome.errorLines.count == 1, "\(reference): \(outcome.error)")
            return outcome.error
        }

        /// The worker is the one that began, has no mounts left, and serves a good image.
        func end() async throws {
            #expect(try host.kernelMounts().isEmpty)
            try await host.mount(target)
            try await host.compare(target)
            worker.signal(SIGTERM)
            #expect(try await worker.wait().status == 0)
            #expect(try !worker.text(worker.errorPath).contains("Fatal error"))
        }
    }

    @Test("every field of an index, sealed anew: refused, or a device that can be read")
    func fields() async throws {
        let bench = try await Bench()
        var generator = SeededGenerator()
        let body = bench.forged.body
        func little(_ value: UInt64, _ count: Int) -> [UInt8] {
            (0..<count).map { UInt8(truncatingIfNeeded: value >> UInt64(8 * $0)) }
        }
        // The version of the writer, zeros, the device's bytes, how many chunks and extents; then the last extent:
        // offset, length, address, layer.
        let last = body.count - 26
        let places: [(at: Int, bytes: Int)] = [
            (0, 2), (2, 6), (8, 8), (16, 4), (20, 4), (last, 8), (last + 8, 8), (last + 16, 8),
            (last + 24, 2),
        ]
        let values: [UInt64] = [0, 1, 4096, 1 << 31, 1 << 63, .max, .max - 4095]
        var bodies: [[UInt8]] = []
        for place in places {
            let value = try #require(values.randomElement(using: &generator))
            for value in [value, 1 << 63] {
                var forged = body
                forged.replaceSubrange(place.at..<place.at + place.bytes, with: little(value, place.bytes))
                bodies.append(forged)
            }
        }
        for _ in 0..<10 {
            var forged = body
            let at = Int.random(in: 0..<body.count, using: &generator)
            forged[at] ^= UInt8.random(in: 1...255, using: &generator)
            bodies.append(forged)
        }
        bodies += [Array(body.dropLast()), body + [0], []]
        var refused = 0
        for (number, forged) in bodies.enumerated() where forged != body {
            try await bench.forged.publish("acme/forged:\(number)", body: forged)
            refused += try await bench.attempt("acme/forged:\(number)") == nil ? 0 : 1
        }
        #expect(refused > bodies.count / 2, "seed \(generator.seed)")
        try await bench.end()
    }

    @Test("a superblock that asks for what this version never writes does not reach the kernel")
    func superblocks() async throws {
        let bench = try await Bench()
        let metadata = try await metadata(bench)
        // Compressed contents, packed tails, other devices; another magic; another size of blocks.
        for (number, (at, value)) in [(1104, 0x01), (1104, 0x22), (1110, 1), (1024, 0), (1036, 16)].enumerated() {
            var forged = metadata
            forged[at] = UInt8(value)
            try await bench.forged.publish("acme/superblock:\(number)", metadata: forged)
            let line = try #require(try await bench.attempt("acme/superblock:\(number)"))
            #expect(line.contains("acme/superblock:\(number) cannot be mounted"), "\(line)")
        }
        try await bench.end()
    }

    @Test("inodes, names and attributes of any bytes are for the kernel to refuse, and the worker goes on")
    func metadata() async throws {
        let bench = try await Bench()
        let metadata = try await metadata(bench)
        var generator = SeededGenerator()
        for number in 0..<12 {
            var forged = metadata
            for _ in 0..<(1 << (number / 2)) {
                let at = Int.random(in: 4096..<metadata.count, using: &generator)
                forged[at] = UInt8.random(in: 0...255, using: &generator)
            }
            try await bench.forged.publish("acme/metadata:\(number)", metadata: forged)
            _ = try await bench.attempt("acme/metadata:\(number)")
        }
        try await bench.end()
    }

    /// What the image's device begins with.
    private func metadata(_ bench: Bench) async throws -> [UInt8] {
        try await bench.host.mount(bench.target)
        let device = try #require(try await bench.host.status().mounts.first?.device)
        let count = bench.forged.index.metadata.reduce(0) { $0 + Int($1.plainLength) }
        let file = try #require(FileHandle(forReadingAtPath: device))
        let bytes = try #require(try file.read(upToCount: count))
        try file.close()
        try await bench.host.bench.succeed(["unmount", bench.target, "--socket", bench.host.socket])
        #expect(bytes.count == count)
        return Array(bytes)
    }

    @Test("a trace that is damaged, too long or of another device costs a line in the log, and no mount")
    func traces() async throws {
        let bench = try await Bench()
        let path = "\(bench.host.bench.l3)/\(bench.forged.traceKey)"
        func check(_ count: Int, _ what: Comment) async throws {
            try await bench.host.mount(bench.target)
            try await bench.host.compare(bench.target)
            try await bench.host.bench.succeed(["unmount", bench.target, "--socket", bench.host.socket])
            let log = try bench.worker.text(bench.worker.errorPath)
            #expect(log.components(separatedBy: "a trace is not used").count - 1 == count, what)
        }
        try await bench.forged.put(trace: [0, 1, 4_000_000_000])
        try await check(1, "beyond the device")
        try Data(repeating: 7, count: 5000).write(to: URL(fileURLWithPath: path))
        try await check(2, "noise")
        try await bench.host.bench.shell("truncate -s 64M '\(path)'")
        try await check(3, "64 MiB")
        try await bench.end()
    }

    @Test("a raw file is refused with one line, and images of every source of files are mounted")
    func sources() async throws {
        let bench = try await Bench()
        let at = bench.host.bench
        try await at.push("file:\(at("src/big"))", "acme/raw")
        let line = try #require(try await bench.attempt("acme/raw"))
        #expect(line.contains("raw file") && line.contains("layercache nbd"))
        try await at.python(
            """
            write('files.tar', tar([('hello', b'hello\\n'), ('big', open('src/big', 'rb').read())]))
            with zipfile.ZipFile('files.zip', 'w', zipfile.ZIP_DEFLATED) as z:
                for name in ('hello', 'big'): z.write('src/' + name, name)
            image('oci', [open('files.tar', 'rb').read()])
            layer = open('files.tar', 'rb').read()
            config = json.dumps({'rootfs': {'type': 'layers', 'diff_ids': ['sha256:' + sha(layer)]}}).encode()
            listing = json.dumps([{'Config': 'c.json', 'RepoTags': ['a:1'], 'Layers': ['l/layer.tar']}]).encode()
            write('docker.tar', tar([('c.json', config), ('l/layer.tar', layer), ('manifest.json', listing)]))
            """)
        for (number, source) in ["tar:files.tar", "zip:files.zip", "docker-archive:docker.tar", "oci:oci:latest"]
            .enumerated()
        {
            let kind = try #require(source.split(separator: ":").first)
            try await at.push("\(kind):\(at(String(source.dropFirst(kind.count + 1))))", "acme/source:\(number)")
            try await at.succeed(["mount", "acme/source:\(number)", bench.target, "--socket", bench.host.socket])
            #expect(try bench.host.text("\(bench.target)/hello") == "hello\n", "\(source)")
            try await bench.host.compare(bench.target)
            try await at.succeed(["unmount", bench.target, "--socket", bench.host.socket])
        }
        try await bench.end()
    }
}
