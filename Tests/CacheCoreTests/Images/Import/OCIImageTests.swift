import CacheCore
import Foundation
import NIOCore
import Testing

@Suite struct OCIImageTests {
    @Test(arguments: ["oci", "archive", "archive.gz", "archive backwards"])
    func everyLayerAndConfigurationAsItWas(_ form: String) throws {
        let fixture = try ImportFixture()
        try fixture.python(
            """
            ls = [tar('a', 'b'), tar('c', fmt=tarfile.PAX_FORMAT), tar('d'), tar('a', 'b')]
            for i, l in enumerate(ls): open(f'layer{i}', 'wb').write(l)
            m = image('oci', ls, {'config': {'Env': ['A=ü']}, 'x': 1.50}, ['', '+gzip', '+zstd', '+gzip'])
            layout('oci', [tagged(m, 'one')])
            config = json.load(open('oci/blobs/sha256/' + m['digest'][7:]))['config']['digest'][7:]
            os.link('oci/blobs/sha256/' + config, 'config')
            """)
        let reference: String
        switch form {
        case "oci": reference = "oci:\(fixture("oci")):one"
        case "archive":
            try fixture.shell("tar -C oci -cf oci.tar .")
            reference = "oci-archive:\(fixture("oci.tar"))"
        case "archive.gz":
            try fixture.shell("tar -C oci -czf oci.tar.gz index.json oci-layout blobs")
            reference = "oci-archive:\(fixture("oci.tar.gz")):one"
        default:
            try fixture.shell("cd oci; find . -type f | sort -r | tar --format=pax -cf ../back.tar -T -")
            reference = "oci-archive:\(fixture("back.tar")):one"
        }
        let image = try ImageSource.open(SourceReference.parse(reference))
        #expect(try image.configuration.map { Array($0.readableBytesView) } == fileBytes(fixture("config")))
        #expect(image.layers.count == 4)
        for (index, layer) in image.layers.enumerated() {
            let expected = try fileBytes(fixture("layer\(index)"))
            #expect(try layer.open().readAll() == expected)
            #expect(layer.diffID == SHA256Digest(of: expected))
            #expect(!layer.isFile)
            #expect(layer.compressedSize != nil)
        }
    }

    @Test func mediaTypesLie() throws {
        let fixture = try ImportFixture()
        try fixture.python(
            """
            l = tar('a'); open('layer', 'wb').write(l)
            m = image('oci', [l], layer_type='application/vnd.docker.image.rootfs.diff.tar', suffixes=['.gzip'],
                      manifest_type='application/vnd.docker.distribution.manifest.v2+json')
            b = json.load(open('oci/blobs/sha256/' + m['digest'][7:]))
            b['layers'][0]['mediaType'] = 'application/vnd.docker.image.rootfs.diff.tar'
            layout('oci', [dict(put('oci', json.dumps(b).encode()), mediaType=m['mediaType'])])
            """)
        let image = try ImageSource.open(.ociLayout(directory: fixture("oci"), tag: nil))
        #expect(try image.layers[0].open().readAll() == fileBytes(fixture("layer")))
    }

    @Test func choosesTagAndPlatform() throws {
        let fixture = try ImportFixture()
        try fixture.python(
            """
            import platform
            host = {'x86_64': 'amd64', 'aarch64': 'arm64'}[platform.machine()]
            def of(n): return image('oci', [tar(n)])
            def on(m, a, os='linux'): return dict(m, platform={'architecture': a, 'os': os})
            nested = {'schemaVersion': 2, 'mediaType': M + 'index.v1+json', 'manifests': [
                on(of('s390'), 's390x'), on(of('mine'), host), on(of('attestation'), 'unknown', 'unknown')]}
            index = dict(put('oci', json.dumps(nested).encode()), mediaType=M + 'index.v1+json')
            only = {'schemaVersion': 2, 'mediaType': M + 'index.v1+json', 'manifests': [on(of('s390 only'), 's390x')]}
            index2 = dict(put('oci', json.dumps(only).encode()), mediaType=M + 'index.v1+json')
            layout('oci', [tagged(of('one'), 'one'), tagged(index, 'docker.io/library/x:2'), tagged(index2, 'three')])
            """)
        func first(_ tag: String) throws -> String {
            let image = try ImageSource.open(SourceReference.parse("oci:\(fixture("oci")):\(tag)"))
            return try String(decoding: image.layers[0].open().readAll().prefix { $0 != 0 }, as: UTF8.self)
        }
        #expect(try first("one") == "one")
        #expect(try first("docker.io/library/x:2") == "mine")
        #expect(try first("three") == "s390 only")
        #expect(cacheError { _ = try first("four") }?.message.contains("one") == true)
        let unnamed = cacheError { _ = try ImageSource.open(.ociLayout(directory: fixture("oci"), tag: nil)) }
        #expect(unnamed?.message.contains("three") == true)
    }

    @Test func damageIsNamed() throws {
        let fixture = try ImportFixture()
        try fixture.python(
            """
            m = image('good', [tar('a', big=100000), tar('b', big=100000)], suffixes=['', '+gzip'])
            layout('good', [tagged(m, 't')])
            b = json.load(open('good/blobs/sha256/' + m['digest'][7:]))
            for i, d in enumerate([m, b['config']] + b['layers']): open(f'name{i}', 'w').write(d['digest'][7:])
            """)
        for blob in 0..<4 {
            let digest = String(decoding: try fileBytes(fixture("name\(blob)")), as: UTF8.self)
            for damage in ["flip", "cut", "grow", "remove", "swap"] {
                try fixture.shell("rm -rf bad; cp -r good bad")
                let file = "bad/blobs/sha256/\(digest)"
                switch damage {
                case "flip":
                    try fixture.python(
                        "f='\(file)'; b=bytearray(open(f,'rb').read()); b[len(b)//2]^=1; open(f,'wb').write(b)")
                case "cut": try fixture.shell("truncate -s -1 \(file)")
                case "grow": try fixture.shell("printf x >> \(file)")
                case "remove": try fixture.shell("rm \(file)")
                default: try fixture.shell("n=$(stat -c %s \(file)); head -c $n /dev/zero > \(file)")
                }
                let error = cacheError {
                    let image = try ImageSource.open(.ociLayout(directory: fixture("bad"), tag: "t"))
                    for layer in image.layers { try layer.open().drain { _ in } }
                }
                #expect(error?.code == (damage == "remove" ? .missing : .corrupt), "\(damage) of blob \(blob)")
                #expect(
                    error?.message.contains(digest) == true, "\(damage) of blob \(blob): \(String(describing: error))")
            }
        }
    }

    /// As build tools make them that keep blobs elsewhere. What a link leads to is checked by its digest.
    @Test func symbolicLinksAreFollowedAndForeignPathsAreRefused() throws {
        let fixture = try ImportFixture()
        try fixture.python(
            """
            m = image('good', [tar('a')])
            layout('good', [m])
            b = json.load(open('good/blobs/sha256/' + m['digest'][7:]))
            open('layer', 'w').write(b['layers'][0]['digest'][7:])
            """)
        let layer = String(decoding: try fileBytes(fixture("layer")), as: UTF8.self)
        for change in [
            "mv linked/blobs/sha256/\(layer) blob; ln -s ../../../blob linked/blobs/sha256/\(layer)",
            "mv linked/blobs/sha256 elsewhere; ln -s $PWD/elsewhere linked/blobs/sha256",
            "mv linked/index.json i; ln -s $PWD/i linked/index.json",
        ] {
            try fixture.shell("rm -rf linked elsewhere; cp -r good linked; \(change)")
            let layers = try ImageSource.open(.ociLayout(directory: fixture("linked"), tag: nil)).layers
            #expect(try SHA256Digest(of: layers[0].open().readAll()) == layers[0].diffID, "\(change)")
        }
        for attack in [
            "rm bad/blobs/sha256/\(layer); ln -s $PWD/nowhere bad/blobs/sha256/\(layer)",
            "rm bad/blobs/sha256/\(layer); mkfifo pipe; ln -s $PWD/pipe bad/blobs/sha256/\(layer)",
            "rm bad/blobs/sha256/\(layer); ln -s /dev/zero bad/blobs/sha256/\(layer)",
            "rm bad/blobs/sha256/\(layer); mkfifo bad/blobs/sha256/\(layer)",
            "rm bad/blobs/sha256/\(layer); mkdir bad/blobs/sha256/\(layer)",
        ] {
            try fixture.shell("rm -rf bad pipe; cp -r good bad; \(attack)")
            let error = cacheError { _ = try ImageSource.open(.ociLayout(directory: fixture("bad"), tag: nil)) }
            #expect(error != nil, "\(attack)")
        }
        for digest in ["sha256:../../../layer", "sha256:" + layer.uppercased(), "md5:00", "", "sha512:" + layer] {
            try fixture.python(
                """
                import shutil; shutil.rmtree('bad', ignore_errors=True); shutil.copytree('good', 'bad')
                layout('bad', [{'mediaType': M + 'manifest.v1+json', 'digest': '\(digest)', 'size': 5}])
                """)
            let error = cacheError { _ = try ImageSource.open(.ociLayout(directory: fixture("bad"), tag: nil)) }
            #expect(error?.code == .invalidInput, "\(digest)")
        }
    }

    @Test(arguments: [
        "'[' * 1000000", "'{\"a\":' * 100000", "'[' * 129 + ']' * 129", "'{'", "''", "'null'", "'{\"manifests\": 7}'",
        "'{\"manifests\": [{\"digest\": 1}]}'", "'{\"manifests\": []}'", "'{\"manifests\": [' + '1e999,' * 10 + '1]}'",
        "'\"' + 'x' * (9 << 20) + '\"'", "'\\x00\\xff'",
        "json.dumps({'manifests': [{'digest': 'sha256:' + '0' * 64, 'size': -1}]})",
        "json.dumps({'manifests': [{'digest': 'sha256:' + '0' * 64, 'size': 1 << 63}]})",
        "json.dumps({'manifests': [{'digest': 'sha256:' + '0' * 64, 'size': 1}] * 5000})",
    ])
    func hostileJSON(_ expression: String) throws {
        let fixture = try ImportFixture()
        try fixture.python("os.mkdir('oci'); open('oci/index.json', 'w', encoding='latin-1').write(\(expression))")
        #expect(cacheError { _ = try ImageSource.open(.ociLayout(directory: fixture("oci"), tag: nil)) } != nil)
    }

    @Test func indexInIndexEnds() throws {
        let fixture = try ImportFixture()
        try fixture.python(
            """
            d = image('oci', [tar('a')])
            for _ in range(50):
                d = dict(put('oci', json.dumps({'schemaVersion': 2, 'manifests': [d]}).encode()), mediaType=M + \
            'index.v1+json')
            layout('oci', [d])
            """)
        let error = cacheError { _ = try ImageSource.open(.ociLayout(directory: fixture("oci"), tag: nil)) }
        #expect(error?.code == .limitExceeded)
    }

    @Test func configurationThatDoesNotFit() throws {
        let fixture = try ImportFixture()
        try fixture.python(
            """
            l = tar('a')
            layout('.', [tagged(image('.', [l], {'rootfs': {'type': 'layers', 'diff_ids': []}}), 'fewer'),
                tagged(image('.', [l], {'rootfs': {'type': 'layers', 'diff_ids': ['sha256:zz']}}), 'nonsense'),
                tagged(image('.', [l], layer_type='application/vnd.cncf.helm.chart.content.v1.tar'), 'artifact')])
            """)
        for (tag, code) in [
            ("fewer", CacheError.Code.invalidInput), ("nonsense", .invalidInput), ("artifact", .unsupported),
        ] {
            #expect(
                cacheError { _ = try ImageSource.open(.ociLayout(directory: fixture.path, tag: tag)) }?.code == code)
        }
    }

    @Test func truncatedArchives() throws {
        let fixture = try ImportFixture()
        try fixture.python("layout('oci', [image('oci', [tar('a', big=5000)], suffixes=['+gzip'])])")
        try fixture.shell("tar -C oci -cf whole.tar .")
        let whole = try fileBytes(fixture("whole.tar"))
        for length in stride(from: 0, to: 8192, by: 731) {
            try Data(whole[..<length]).write(to: URL(fileURLWithPath: fixture("cut.tar")))
            let error = cacheError { _ = try ImageSource.open(.ociArchive(file: fixture("cut.tar"), tag: nil)) }
            #expect(error != nil, "\(length) bytes")
        }
    }
}
