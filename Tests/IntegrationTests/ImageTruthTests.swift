import Foundation
import TestSupport
import Testing

/// Images come back as they went in: diffIDs, configuration, and nothing stored twice.
@Suite struct ImageTruthTests {
    private let mixed =
        "image('image', [base(), app(), tar([('etc/os-release', b'NAME=other\\n')])], ['+gzip', '+zstd', ''])\n"

    @Test func layoutComesBackWithItsDigests() async throws {
        let bench = try await Workbench()
        try await bench.python(mixed)
        let answer = try await bench.push("oci:\(bench("image")):latest", "acme/app:1")
        #expect(answer.ref == "acme/app:1")
        #expect(answer.chunks.new > 0)
        #expect(answer.chunks.new <= answer.chunks.total)
        #expect(answer.bytes.uploaded > 0)
        #expect(answer.bytes.uploaded <= answer.bytes.new)
        let pulled = try await bench.pull("acme/app:1", "oci:\(bench("back")):latest")
        #expect(pulled.bytes == answer.bytes.logical)
        // A pull needs no index.
        let index = try #require(answer.index)
        #expect(pulled.chunks.total == answer.chunks.total - index.chunks)
        #expect(try await bench.python("truth('image')") == bench.python("truth('back')"))

        let inspected = try JSONDecoder().decode(
            InspectAnswer.self,
            from: Data(
                try await bench.succeed([
                    "inspect", "acme/app:1", "--l3", bench.l3, "--keyring", bench.keyring, "--json",
                ]).utf8))
        let names = [inspected.configDigest ?? ""] + inspected.layers.map(\.diffID)
        #expect(try await bench.python("truth('image')") == names.joined(separator: " ") + "\n")
    }

    @Test func archivesComeBackWithTheirDigests() async throws {
        let bench = try await Workbench()
        try await bench.python(mixed)
        try await bench.shell("tar -C image -cf image.tar . && tar -C image -czf image.tgz .")
        try await bench.push("oci-archive:\(bench("image.tar")):latest", "acme/app:tar")
        try await bench.push("oci-archive:\(bench("image.tgz"))", "acme/app:tgz")
        let expected = try await bench.python("truth('image')")
        for tag in ["tar", "tgz"] {
            try await bench.pull("acme/app:\(tag)", "oci-archive:\(bench("\(tag).tar"))")
            try await bench.shell("mkdir \(tag) && tar -C \(tag) -xf \(tag).tar")
            #expect(try await bench.python("truth('\(tag)')") == expected)
        }
    }

    @Test func dockerArchiveComesBackWithItsDigests() async throws {
        let bench = try await Workbench()
        try await bench.python(
            """
            layers = [base(), app()]
            config = json.dumps({'architecture': 'amd64', 'os': 'linux', 'rootfs': {'type': 'layers', 'diff_ids': \
            ['sha256:' + sha(l) for l in layers]}}).encode()
            manifest = [{'Config': sha(config) + '.json', 'RepoTags': ['acme/app:1'], 'Layers': ['%d/layer.tar' % i \
            for i in range(2)]}]
            write('docker.tar', tar([(sha(config) + '.json', config), ('manifest.json', json.dumps(manifest).encode())]
                + [('%d/layer.tar' % i, l) for i, l in enumerate(layers)]))
            print('sha256:' + sha(config), *['sha256:' + sha(l) for l in layers], file=open('expected', 'w'))
            """)
        try await bench.push("docker-archive:\(bench("docker.tar")):acme/app:1", "acme/app:1")
        try await bench.pull("acme/app:1", "oci:\(bench("back")):1")
        #expect(try await bench.python("truth('back')") == bench.shell("cat expected"))
    }

    @Test(.enabled(if: BuiltProgram.isInstalled("skopeo"), "needs skopeo"))
    func skopeoReadsWhatIsPulled() async throws {
        let bench = try await Workbench()
        try await bench.python("image('image', [base(), app()], ['+gzip', ''])")
        try await bench.shell("skopeo --insecure-policy copy -q oci:image:latest docker-archive:docker.tar:acme/app:1")
        try await bench.push("docker-archive:\(bench("docker.tar"))", "acme/app:docker")
        try await bench.push("oci:\(bench("image")):latest", "acme/app:oci")
        for tag in ["docker", "oci"] {
            try await bench.pull("acme/app:\(tag)", "oci:\(bench(tag)):x")
            try await bench.shell(
                "skopeo inspect --config --raw oci:\(tag):x > \(tag).json; skopeo --insecure-policy copy -q "
                    + "oci:\(tag):x oci:\(tag).copy:x"
            )
        }
        let ids = "json.load(open('docker.json'))['rootfs'] == json.load(open('oci.json'))['rootfs']"
        #expect(try await bench.python("print(\(ids))") == "True\n")
    }

    @Test func secondTenantUploadsNothing() async throws {
        let bench = try await Workbench(tenants: ["acme", "rival"])
        try await bench.python(mixed)
        let first = try await bench.push("oci:\(bench("image")):latest", "acme/app:1")
        let second = try await bench.push("oci:\(bench("image")):latest", "rival/other:2")
        #expect(first.chunks.new > 0)
        #expect(second.chunks.new == 0)
        #expect(second.bytes.uploaded == 0)
        #expect(second.bytes.new == 0)
        #expect(second.chunks.total == first.chunks.total)
        try await bench.pull("rival/other:2", "oci:\(bench("back")):latest")
        #expect(try await bench.python("truth('image')") == bench.python("truth('back')"))
    }

    @Test func imageOnTheSameBaseUploadsWhatIsNew() async throws {
        let bench = try await Workbench()
        try await bench.python(
            "image('one', [base(), app()], ['+gzip', '+gzip'])\nimage('two', [base(), tar([('srv/new', noise(9, "
                + "300000))])], ['', ''])"
        )
        try await bench.push("oci:\(bench("one")):latest", "acme/one:1")
        let known = Set(bench.files(below: bench.l3))
        let answer = try await bench.push("oci:\(bench("two")):latest", "acme/two:1")
        #expect(answer.bytes.new < 340_000)
        #expect(answer.bytes.uploaded < 340_000)
        #expect(answer.bytes.uploaded >= 300_000)
        let added = bench.files(below: bench.l3).filter { !known.contains($0) && $0.contains("/chunks/") }
        #expect(added.count == answer.chunks.new)
        #expect(try added.reduce(0) { try $0 + bench.bytes($1).count } == answer.bytes.uploaded)
    }

    @Test func sameImageIsNotConvertedAgain() async throws {
        let bench = try await Workbench()
        try await bench.python(mixed)
        try await bench.push("oci:\(bench("image")):latest", "acme/app:1")
        let chunks = bench.files(below: bench.l3).filter { $0.contains("/chunks/") }
        // A second reading of a layer would find garbage of the same size.
        try await bench.python(
            """
            for name in os.listdir('image/blobs/sha256'):
                path = 'image/blobs/sha256/' + name
                if open(path, 'rb').read(1) != b'{': write(path, bytes(os.path.getsize(path)))
            """)
        let again = try await bench.push("oci:\(bench("image")):latest", "acme/app:2")
        #expect(again.chunks.new == 0)
        #expect(again.bytes.uploaded == 0)
        #expect(bench.files(below: bench.l3).filter { $0.contains("/chunks/") } == chunks)
        let list = try await bench.succeed(["ls", "acme", "--l3", bench.l3])
        #expect(list.contains("acme/app:1"))
        #expect(list.contains("acme/app:2"))
    }
}
