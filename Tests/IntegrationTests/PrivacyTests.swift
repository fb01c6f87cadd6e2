import Foundation
import Glibc
import TestSupport
import Testing

/// No tier holds anything that can be read, and only the right key opens it.
@Suite struct PrivacyTests {
    /// Contents, path names, link targets and attributes, all with one word in them that no ciphertext has.
    private static let image = """
        def secret(i): return b'SECRET-MARKER-%06d-' % i
        files = [('etc/PATHMARKER-%d/file' % i, secret(i) * 40) for i in range(20)]
        files.append(('opt/PATHMARKER-large', b''.join(secret(i) for i in range(60000))))
        files.append(('opt/PATHMARKER-noise', noise(1, 300000) + secret(7) + noise(2, 300000)))
        layer = io.BytesIO(tar(files))
        with tarfile.open(fileobj=layer, mode='a') as t:
            i = tarfile.TarInfo('PATHMARKER-link'); i.type = tarfile.SYMTYPE; i.linkname = 'TARGETMARKER'; \
        i.uname = 'USERMARKER'; t.addfile(i)
        image('image', [layer.getvalue()], ['+gzip'])
        """

    private static let words = [
        "SECRET-MARKER", "PATHMARKER", "TARGETMARKER", "USERMARKER", "diff_ids", "PATH=/bin", "ustar",
    ]

    /// Words of the image found in a file of the tier. A piece of `words` as long as this does not come up by chance in
    /// some megabytes.
    private func leaks(_ bench: Workbench, _ directories: [String]) throws -> [String] {
        var found: [String] = []
        var count = 0
        for directory in directories {
            for path in bench.files(below: directory) {
                count += 1
                let bytes = try bench.bytes(path)
                let pieces = Self.words + ["ET-MARKE", "ATHMARKE", "GETMARK"]
                for word in pieces where bytes.range(of: Data(word.utf8)) != nil { found.append("\(word) in \(path)") }
                if path.contains("MARKER") { found.append(path) }
            }
        }
        #expect(count > 5)
        return found
    }

    @Test(arguments: ["fast-open", "1", "none"])
    func nothingReadableIsStored(_ compression: String) async throws {
        let bench = try await Workbench()
        try await bench.python(Self.image)
        try await bench.push("oci:\(bench("image")):latest", "acme/app:1", ["--compression", compression])
        let daemon = try await Daemon(bench, memory: "0")
        try await bench.pull("acme/app:1", "oci:\(bench("out")):1", ["--l1", bench.l1, "--l2", daemon.url])
        let second = try await bench.pull("acme/app:1", "dir:\(bench("tree"))", ["--l2", daemon.url])
        #expect(second.tiers.l2.chunks > 0)
        let ended = try await daemon.stop()
        #expect(ended.status == 0)
        #expect(try leaks(bench, [bench.l3, bench.l1, bench("l2")]) == [])
        // The daemon's log and its numbers tell nothing either.
        #expect(!ended.error.contains("MARKER"))
        // The test would find the words where they are.
        #expect(try bench.bytes(bench("tree") + "/opt/PATHMARKER-large").range(of: Data("ET-MARKE".utf8)) != nil)
    }

    @Test func otherKeysOpenNothing() async throws {
        let bench = try await Workbench(tenants: ["acme", "rival"])
        try await bench.python(Self.image)
        try await bench.push("oci:\(bench("image")):latest", "acme/app:1")
        try await bench.succeed(["keygen", "rival", "--keyring", bench("rival.json"), "--worker"])
        try await bench.succeed(["keygen", "acme", "--keyring", bench("wrong.json"), "--worker"])
        try await bench.succeed(["keygen", "acme", "--keyring", bench("deployment.json")])
        for verb in [
            ["pull", "acme/app:1", "oci:\(bench("out")):1"], ["verify", "acme/app:1"], ["inspect", "acme/app:1"],
        ] {
            let missing = try await bench.fail(verb + ["--l3", bench.l3, "--keyring", bench("rival.json")])
            #expect(missing.contains("acme"), "\(missing)")
            #expect(missing.contains("rival.json"), "\(missing)")
            let wrong = try await bench.fail(verb + ["--l3", bench.l3, "--keyring", bench("wrong.json")])
            #expect(wrong.contains("key"), "\(wrong)")
        }
        // A manifest of one tenant under the name of another opens for neither.
        try await bench.shell("mkdir -p l3/refs/rival/app && cp l3/refs/acme/app/1 l3/refs/rival/app/1")
        let stolen = try await bench.fail([
            "pull", "rival/app:1", "oci:\(bench("out")):1", "--l3", bench.l3, "--keyring", bench.keyring,
        ])
        #expect(stolen.contains("key"), "\(stolen)")
        // Who has another deployment's key can neither push nor learn what is there.
        let push = ["push", "oci:\(bench("image")):latest", "acme/app:2", "--l3", bench.l3, "--keyring"]
        let foreign = try await bench.fail(push + [bench("deployment.json")])
        #expect(foreign.contains("key"), "\(foreign)")
        let worker = try await bench.fail(push + [bench("wrong.json")])
        #expect(worker.contains("deployment"), "\(worker)")
        #expect(!FileManager.default.fileExists(atPath: bench("out")))
    }

    @Test func keyringsThatOthersCanReadAreRefused() async throws {
        let bench = try await Workbench()
        try await bench.shell("echo x > f")
        try await bench.push("file:\(bench("f"))", "acme/f:1")
        for mode in ["0644", "0640", "0604", "0660"] {
            try await bench.shell("chmod \(mode) keys.json")
            let line = try await bench.fail([
                "pull", "acme/f:1", "file:\(bench("g"))", "--l3", bench.l3, "--keyring", bench.keyring,
            ])
            #expect(line.contains("chmod"), "\(line)")
            #expect(line.contains("keys.json"), "\(line)")
            try await bench.fail(["keygen", "more", "--keyring", bench.keyring])
        }
        try await bench.shell("chmod 600 keys.json")
        // keygen never replaces a key: the images under it would be lost.
        let before = try bench.bytes(bench.keyring)
        try await bench.fail(["keygen", "acme", "--keyring", bench.keyring])
        #expect(try bench.bytes(bench.keyring) == before)
        let key = String(decoding: before, as: UTF8.self).split(separator: "\"").first { $0.count > 40 }
        try await bench.shell(
            "head -c 100 keys.json > cut.json; sed 's/\"key\"[^,}]*/\"key\":\"AAAA\"/' keys.json > short.json; "
                + "chmod 600 cut.json short.json; echo '[]' > list.json; head -c 3000000 /dev/zero > large.json; "
                + "chmod 600 *.json"
        )
        for name in ["cut", "short", "list", "large", "none"] {
            let line = try await bench.fail(
                ["pull", "acme/f:1", "file:\(bench("g"))", "--l3", bench.l3, "--keyring", bench("\(name).json")])
            #expect(line.contains("\(name).json"), "\(line)")
            #expect(key.map { !line.contains($0) } ?? false)
        }
    }
}
