import Foundation
import TestSupport
import Testing

/// L3 is the truth: what is damaged there is an error that names the object, and a push with --repair heals what it
/// can.
@Suite struct ObjectStoreDamageTests {
    private func bench() async throws -> Workbench {
        let bench = try await Workbench()
        try await bench.python("image('image', [base(), app()], ['+gzip', ''])")
        try await bench.push("oci:\(bench("image")):latest", "acme/app:1")
        return bench
    }

    /// Pulls the image, and has it checked once: what comes later has the same bytes.
    private func pullWhole(_ bench: Workbench) async throws {
        try await bench.pull("acme/app:1", "oci:\(bench("whole")):1")
        #expect(try await bench.python("truth('whole')") == bench.python("truth('image')"))
    }

    private func expectSame(_ bench: Workbench, _ name: String) async throws {
        try await bench.shell("diff -r whole '\(name)'; rm -r '\(name)'")
    }

    private func objects(_ bench: Workbench, _ part: String) -> [String] {
        bench.files(below: bench.l3).filter { $0.contains(part) && !$0.contains("/.tmp/") }
    }

    /// The name of the image's index, which no pull needs.
    private func indexName(_ bench: Workbench) async throws -> String {
        let text = try await bench.succeed(
            ["inspect", "acme/app:1", "--l3", bench.l3, "--keyring", bench.keyring, "--json"])
        return try #require(try JSONDecoder().decode(InspectAnswer.self, from: Data(text.utf8)).index).manifest
    }

    private func name(_ path: String) -> String { String(path.split(separator: "/").last ?? "") }

    private func change(_ bench: Workbench, _ path: String, _ how: Int) throws {
        var bytes = try bench.bytes(path)
        switch how {
        case 0: bytes[bytes.count / 2] ^= 1
        case 1: bytes.removeLast(bytes.count / 3 + 1)
        case 2: bytes.append(0)
        case 3: bytes = Data()
        default: bytes = Data(count: bytes.count)
        }
        try FileManager.default.removeItem(atPath: path)
        try bench.write(bytes, path)
    }

    @Test(arguments: 0..<6)
    func damagedChunkIsNamedAndRepaired(_ how: Int) async throws {
        let bench = try await bench()
        try await pullWhole(bench)
        // Another chunk for each kind of damage.
        let all = objects(bench, "/chunks/")
        for path in [all[how % all.count]] {
            let whole = try bench.bytes(path)
            if how == 5 { try FileManager.default.removeItem(atPath: path) } else { try change(bench, path, how) }
            // A pull needs all but the entry table, which serves those who read single files.
            let pull = try await bench.run(bench.pullArguments("acme/app:1", "oci:\(bench("broken")):1"))
            if pull.status == 0 {
                try await expectSame(bench, "broken")
            } else {
                #expect(pull.status == 1, "\(pull)")
                #expect(pull.errorLines.count == 1, "\(pull)")
                #expect(pull.error.contains(name(path)), "\(pull.error)")
                #expect(pull.error.contains("--repair"), "\(pull.error)")
            }
            let found = try await bench.fail(["verify", "acme/app:1", "--l3", bench.l3, "--keyring", bench.keyring])
            #expect(found.contains(name(path)), "\(found)")
            #expect(found.contains("--repair"), "\(found)")
            let answer = try await bench.push("oci:\(bench("image")):latest", "acme/app:1", ["--repair"])
            #expect(answer.chunks.new == 1)
            #expect(answer.bytes.uploaded == whole.count)
            #expect(try bench.bytes(path) == whole)
            try await bench.succeed(["verify", "acme/app:1", "--l3", bench.l3, "--keyring", bench.keyring])
            try await bench.pull("acme/app:1", "oci:\(bench("out")):1")
            try await expectSame(bench, "out")
        }
    }

    @Test(arguments: ["/manifests/", "/refs/", "/state"])
    func damagedRecordIsNamed(_ part: String) async throws {
        let bench = try await bench()
        let index = try await indexName(bench)
        let common = ["--l3", bench.l3, "--keyring", bench.keyring]
        for path in objects(bench, part) {
            let whole = try bench.bytes(path)
            for how in 0..<5 {
                try change(bench, path, how)
                // The state matters to those who push, the index to those who mount, the others to those who pull.
                let verb =
                    switch (part, name(path)) {
                    case ("/state", _): ["push", "oci:\(bench("image")):latest", "acme/app:2"] + common
                    case (_, index): ["inspect", "acme/app:1"] + common
                    default: bench.pullArguments("acme/app:1", "oci:\(bench("out")):1")
                    }
                let line = try await bench.fail(verb)
                #expect(line.contains(name(path)), "\(path) \(how): \(line)")
                if part != "/state" {
                    let line = try await bench.fail(["verify", "acme/app:1"] + common)
                    #expect(line.contains(name(path)), "\(path) \(how): \(line)")
                }
                try bench.write(whole, path)
            }
        }
        try await bench.pull("acme/app:1", "oci:\(bench("out")):1")
    }

    /// Pushing again is the way out of damaged manifests and of a damaged index, too.
    @Test(arguments: ["/manifests/", "/refs/", "/layers/"])
    func repairHealsRecords(_ part: String) async throws {
        let bench = try await bench()
        try await pullWhole(bench)
        for (index, path) in objects(bench, part).enumerated() {
            // All kinds of damage to one object, and one to each of the others.
            let kinds = [0, 3, 5]
            for how in index == 0 ? kinds : [kinds[index % 3]] {
                if FileManager.default.fileExists(atPath: path) {
                    if how == 5 {
                        try FileManager.default.removeItem(atPath: path)
                    } else {
                        try change(bench, path, how)
                    }
                }
                try await bench.push("oci:\(bench("image")):latest", "acme/app:1", ["--repair"])
                try await bench.pull("acme/app:1", "oci:\(bench("out")):1")
                try await expectSame(bench, "out")
            }
        }
    }

    @Test func missingPiecesAreNamed() async throws {
        let bench = try await bench()
        let line = try await bench.fail(bench.pullArguments("acme/none:1", "oci:\(bench("out")):1"))
        #expect(line.contains("acme/none:1"))
        try await bench.fail(["ls", "--l3", bench("no-such-store")])
        let index = try await indexName(bench)
        for path in objects(bench, "/manifests/") where name(path) != index {
            let whole = try bench.bytes(path)
            try FileManager.default.removeItem(atPath: path)
            let manifest = try await bench.run(bench.pullArguments("acme/app:1", "oci:\(bench("out")):1"))
            #expect(manifest.status == 1, "\(manifest.error)")
            #expect(manifest.error.contains(name(path)), "\(manifest.error)")
            try bench.write(whole, path)
        }
        #expect(!FileManager.default.fileExists(atPath: bench("out/index.json")))
        // The image is whole without its index, and the next push makes another one.
        let path = try #require(objects(bench, "/manifests/\(index)").first)
        try FileManager.default.removeItem(atPath: path)
        try await bench.pull("acme/app:1", "oci:\(bench("out")):1")
        let verify = ["verify", "acme/app:1", "--l3", bench.l3, "--keyring", bench.keyring]
        let missing = try await bench.fail(verify)
        #expect(missing.contains(index), "\(missing)")
        let again = try await bench.push("oci:\(bench("image")):latest", "acme/app:1")
        #expect(again.chunks.new == 0)
        try await bench.succeed(verify)
        #expect(try await indexName(bench) != index)
    }

    /// A pull that fails leaves nothing that looks like an image or a file.
    @Test func failedPullLeavesNoResult() async throws {
        let bench = try await bench()
        try await bench.shell("head -c 3000000 /dev/urandom > in")
        try await bench.push("file:\(bench("in"))", "acme/f:1")
        for path in objects(bench, "/chunks/") { try change(bench, path, 0) }
        try await bench.fail(bench.pullArguments("acme/f:1", "file:\(bench("out"))"))
        try await bench.fail(bench.pullArguments("acme/app:1", "oci:\(bench("layout")):1"))
        try await bench.fail(bench.pullArguments("acme/app:1", "oci-archive:\(bench("archive"))"))
        #expect(!FileManager.default.fileExists(atPath: bench("out")))
        #expect(!FileManager.default.fileExists(atPath: bench("archive")))
        #expect(!FileManager.default.fileExists(atPath: bench("layout/index.json")))
    }
}
