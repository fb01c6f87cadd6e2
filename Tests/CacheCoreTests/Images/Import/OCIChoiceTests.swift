import CacheCore
import Foundation
import Testing

/// Which image of a layout it is, and documents as Go writes and reads them.
@Suite struct OCIChoiceTests {
    private static let build = #"""
        import platform
        host = {'x86_64': 'amd64', 'aarch64': 'arm64'}[platform.machine()]
        def of(n, config={}, **k):
            d = tagged(image('oci', [tar(n)], dict({'architecture': host}, **config)), 't'); d.update(k)
            open(n + '.digest', 'w').write(d['digest']); return d
        def on(a, os='linux', **k): return {'platform': dict({'architecture': a, 'os': os}, **k)}
        def index(*ms, **k): return tagged(dict(put('oci', json.dumps(dict({'schemaVersion': 2, 'mediaType': M + \#
        'index.v1+json', 'manifests': list(ms)}, **k)).encode()), mediaType=M + 'index.v1+json'), 't')
        def change(m, f, raw=lambda b: b):
            b = json.load(open('oci/blobs/sha256/' + m['digest'][7:])); f(b); return dict(m, **put('oci', \#
        raw(json.dumps(b)).encode()))
        def setting(**k): return lambda b: b.update(k)
        def drop(k): return lambda b: b.pop(k)

        """#

    private func opened(_ script: String, _ reference: String = "oci:IMG:t") throws -> String {
        let fixture = try ImportFixture()
        try fixture.python(Self.build + script)
        var text = reference.replacing("IMG", with: fixture("oci"))
        for name in ["a", "b"] where text.contains("DIGEST-\(name)") {
            text.replace("DIGEST-\(name)", with: try String(contentsOfFile: fixture("\(name).digest"), encoding: .utf8))
        }
        let image = try ImageSource.open(SourceReference.parse(text))
        guard let layer = image.layers.first else { return "nothing" }
        return try String(decoding: layer.open().readAll().prefix { $0 != 0 }, as: UTF8.self)
    }

    @Test(arguments: [
        ("layout('oci', [of('a'), of('a')])", "a"),
        ("layout('oci', [of('a', **on(host)), of('b', **on('s390x'))])", "a"),
        ("layout('oci', [of('b', {'architecture': 's390x'}), of('a')])", "a"),
        ("layout('oci', [of('b', {'architecture': 's390x'}, platform={}), of('a', platform=None)])", "a"),
        (
            "layout('oci', [of('b', {'architecture': 's390x'}, platform={'os': 'linux'}), of('a', platform={'os': "
                + "'linux'})])",
            "a"
        ),
        ("layout('oci', [of('b', {'os': 'windows'}), of('a')])", "a"),
        ("layout('oci', [index(of('b', {'architecture': 's390x'}), of('a'))])", "a"),
        ("layout('oci', [index(index(index(of('a'))))])", "a"),
        ("layout('oci', [index(of('b', {'architecture': 's390x'})), index(of('a'))])", "a"),
        ("layout('oci', [of('a', **on(host)), of('b', **on('unknown', 'unknown'))])", "a"),
        (
            "b = of('b'); b['annotations']['vnd.docker.reference.type'] = 'attestation-manifest'; "
                + "layout('oci', [b, of('a')])",
            "a"
        ),
        ("layout('oci', [of('b', artifactType='application/x'), of('a')])", "a"),
        ("layout('oci', [of('b', mediaType='application/vnd.oci.artifact.manifest.v1+json'), of('a')])", "a"),
        ("layout('oci', [of('b', **on(host, variant='v3' if host == 'amd64' else 'v9')), of('a', **on(host))])", "a"),
        (
            "layout('oci', [of('b', **on(host, variant='v3' if host == 'amd64' else 'v9')), of('a', **on(host, "
                + "variant='v1' if host == 'amd64' else 'v8'))])",
            "a"
        ),
        ("layout('oci', [of('a', **on('s390x'))])", "a"),
        // A blob that is gone runs nowhere.
        ("b = of('b'); os.remove('oci/blobs/sha256/' + b['digest'][7:]); layout('oci', [b, of('a')])", "a"),
    ])
    func chosen(_ script: String, _ expected: String) throws {
        #expect(try opened(script) == expected)
    }

    @Test(arguments: [
        ("layout('oci', [of('a'), of('b')])", "oci:IMG:t"),
        ("layout('oci', [of('a'), of('b')])", "oci:IMG"),
        ("layout('oci', [index(of('a'), of('b'))])", "oci:IMG:t"),
        ("layout('oci', [of('a', **on('arm', variant='v7')), of('b', **on('arm', variant='v6'))])", "oci:IMG:t"),
    ])
    func differentImagesUnderOneNameAreListed(_ script: String, _ reference: String) throws {
        let fixture = try ImportFixture()
        try fixture.python(Self.build + script)
        let text = reference.replacing("IMG", with: fixture("oci"))
        let error = cacheError { _ = try ImageSource.open(SourceReference.parse(text)) }
        for name in ["a", "b"] {
            let digest = try String(contentsOfFile: fixture("\(name).digest"), encoding: .utf8)
            #expect(error?.message.contains("\(digest) (linux/") == true, "\(String(describing: error))")
        }
        #expect(error?.message.contains("oci:\(fixture("oci"))@sha256:") == true)
    }

    @Test func byDigest() throws {
        let two = "layout('oci', [of('a'), of('b')])"
        #expect(try opened(two, "oci:IMG@DIGEST-a") == "a")
        #expect(try opened(two, "oci:IMG@DIGEST-b") == "b")
        #expect(try opened(two, "oci:IMG:t@DIGEST-b") == "b")
        let unlisted = "of('b'); layout('oci', [of('a')])"
        #expect(try opened(unlisted, "oci:IMG@DIGEST-b") == "b")
        #expect(cacheError { _ = try opened(unlisted, "oci:IMG:t@DIGEST-b") }?.code == .missing)
        let nested =
            "i = index(of('a', **on(host)), of('b', **on('s390x'))); open('b.digest', 'w').write(i['digest']); "
            + "layout('oci', [i])"
        #expect(try opened(nested, "oci:IMG@DIGEST-b") == "a")
        let absent = "open('b.digest', 'w').write('sha256:' + '0' * 64); layout('oci', [of('a')])"
        #expect(cacheError { _ = try opened(absent, "oci:IMG@DIGEST-b") }?.code == .missing)
        for text in ["oci:x@sha256:00", "oci:@sha256:\(String(repeating: "0", count: 64))", "oci-archive:x@sha256:"] {
            #expect(cacheError { _ = try SourceReference.parse(text) }?.code == .invalidInput, "\(text)")
        }
        #expect(try SourceReference.parse("oci:x:docker.io/y@2") == .ociLayout(directory: "x", tag: "docker.io/y@2"))
    }

    /// Docker gives only the tag as the name, and the whole name besides.
    @Test func namesOfDocker() throws {
        let script = """
            def named(m, n): return dict(m, annotations={'org.opencontainers.image.ref.name': 'latest', \
            'io.containerd.image.name': n})
            layout('oci', [named(of('a'), 'docker.io/library/alpine:latest'), named(of('b'), \
            'quay.io/x/busybox:latest')])
            """
        #expect(try opened(script, "oci:IMG:docker.io/library/alpine:latest") == "a")
        #expect(try opened(script, "oci:IMG:quay.io/x/busybox") == "b")
        #expect(
            cacheError { _ = try opened(script, "oci:IMG:latest") }?.message.contains("quay.io/x/busybox:latest")
                == true)
        let twice = "m = of('a'); layout('oci', [tagged(m, '1'), tagged(m, 'latest')])"
        #expect(try opened(twice, "oci:IMG") == "a")
    }

    @Test(arguments: [
        "change(of('a'), drop('mediaType'))", "change(of('a'), setting(mediaType=''))", "dict(of('a'), mediaType='')",
        "dict(of('a'), mediaType=None)", "change(dict(of('a'), mediaType=None), drop('mediaType'))",
        "change(of('a'), drop('schemaVersion'))",
        "change(of('a'), setting(annotations=None, subject=None, artifactType=''))",
        "dict(of('a'), annotations={'org.opencontainers.image.ref.name': 't', 'x': None})", "dict(of('a'), size=None)",
        "change(of('a'), lambda b: b['layers'][0].pop('mediaType'))",
        "change(of('a'), lambda b: b['layers'][0].update(mediaType=''))",
        "change(of('a'), lambda b: b['layers'][0].update(platform=None, annotations=None, urls=None))",
        "of('a', {'config': None, 'history': None, 'created': None})",
        "of('a', {'variant': None, 'architecture': None})",
        "change(of('a'), lambda b: 0, lambda s: s.replace('\"layers\"', '\"Layers\"'))",
        // Of two members of one name, Go takes the last.
        "change(of('a'), lambda b: 0, lambda s: '{\"layers\": [], \"config\": {\"x\": [\"}\", {}]},' + s[1:])",
        "change(of('a'), lambda b: 0, lambda s: s.replace('\"size\": ', '\"size\": 1, \"size\" : '))",
        "change(of('a'), lambda b: 0, lambda s: s + '\\n')",
        // Whatever their case, and however they are written.
        "change(of('a'), lambda b: 0, lambda s: '{\"LAYERS\": [], \"Config\": {\"digest\": \"\"},' + s[1:])",
        "change(of('a'), lambda b: 0, lambda s: '{\"l\\\\u0061yers\": [],' + s[1:])",
        "change(of('a'), lambda b: 0, lambda s: '{\"layers\": [], ' + s[1:].replace('\"layers\"', "
            + "'\"layer\\\\u017F\"'))",
        "change(of('a'), lambda b: 0, lambda s: s[:-1] + ', \"x\": [-0.5e-3, 0, true, false, null, "
            + "\"\\\\u00e9\\\\n\"]}')",
    ])
    func documentsAsGoHasThem(_ manifest: String) throws {
        #expect(try opened("layout('oci', [\(manifest)])") == "a")
    }

    @Test(arguments: [
        "lambda s: '\\ufeff' + s", "lambda s: s[:-1] + ',}'", "lambda s: s[:-1] + ', \"x\": 01}'", "lambda s: s[:-1]",
        "lambda s: s + '{}'", "lambda s: s[:-1] + ', \"x\": [1,]}'", "lambda s: s[:-1] + ', \"x\" 1}'",
        "lambda s: s[:-1] + ', \"x\": +1}'", "lambda s: s[:-1] + ', \"x\": 1.}'", "lambda s: s[:-1] + ', \"x\": NaN}'",
        "lambda s: s[:-1] + ', \"x\": \"\\\\q\"}'", "lambda s: s[:-1] + ', x: 1}'",
        "lambda s: s[:-1] + ', \"x\": [1}]'", "lambda s: ''",
    ])
    func whatIsNoJSONIsRefused(_ how: String) throws {
        let error = cacheError { _ = try opened("layout('oci', [tagged(change(of('a'), lambda b: 0, \(how)), 't')])") }
        #expect(error?.code == .invalidInput)
        #expect(error?.message.contains("malformed JSON at byte") == true, "\(how): \(String(describing: error))")
    }

    @Test(arguments: [
        "change(e, drop('layers'))", "change(e, setting(layers=None))", "e",
        "image('oci', [], {'rootfs': None})", "image('oci', [], {'rootfs': {'type': 'layers', 'diff_ids': None}})",
        "image('oci', [], {'rootfs': {'type': 'layers'}})",
    ])
    func imagesWithoutLayers(_ manifest: String) throws {
        #expect(try opened("e = image('oci', []); layout('oci', [tagged(\(manifest), 't')])") == "nothing")
    }

    @Test(arguments: [
        ("open('oci/index.json', 'w').write('null')", ""), ("open('oci/index.json', 'w').write('{}')", ""),
        ("layout('oci', None)", ""), ("layout('oci', [change(of('a'), setting(config=None))])", "no configuration"),
        ("layout('oci', [change(of('a'), setting(manifests=[]))])", "one or the other"),
        ("layout('oci', [dict(of('a'), mediaType=M + 'index.v1+json')])", "one or the other"),
        ("layout('oci', [dict(change(of('a'), drop('config')), mediaType='')])", ""),
        ("layout('oci', [of('a', **on('unknown', 'unknown')), of('b', artifactType='x')])", "describes others"),
        ("i = of('a')\nfor _ in range(6): i = index(i)\nlayout('oci', [i])", "more than 4 times"),
        (
            "layout('oci', [change(of('a'), lambda b: 0, lambda s: s[:-1] + ', \"x\": \"\\x01\"}')])",
            "control character"
        ),
        ("layout('oci', [change(of('a'), lambda b: 0, lambda s: s + 'x')])", "malformed"),
    ])
    func whatIsNoImage(_ script: String, _ text: String) throws {
        let error = cacheError {
            _ = try opened("os.makedirs('oci')\n" + script, text.isEmpty ? "oci:IMG" : "oci:IMG:t")
        }
        #expect(error != nil, "\(String(describing: error))")
        #expect((text.isEmpty || error?.message.contains(text) == true), "\(String(describing: error))")
    }

    /// What is written into a layout whose index lists nothing keeps the rest of it.
    @Test func anIndexWithoutManifestsIsFilled() throws {
        let fixture = try ImportFixture()
        try fixture.python(
            "os.makedirs('out'); open('out/index.json', 'w').write('{\"schemaVersion\": 2, \"manifests\": null}')")
        let destination = try ImageDestination.open(.ociLayout(directory: fixture("out"), tag: "t"))
        _ = try destination.finish(configuration: nil)
        #expect(try ImageSource.open(.ociLayout(directory: fixture("out"), tag: "t")).layers.isEmpty)
    }
}
