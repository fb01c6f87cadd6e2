import CacheCore
import Foundation
import Testing

@Suite struct DockerArchiveTests {
    private static let build = #"""
        def archive(name, items, members, fmt=tarfile.USTAR_FORMAT):
            with tarfile.open(name, 'w', format=fmt) as t:
                for path, data in members:
                    i = tarfile.TarInfo(path)
                    if isinstance(data, str): i.type, i.linkname = tarfile.SYMTYPE, data; t.addfile(i)
                    else: i.size = len(data); t.addfile(i, io.BytesIO(data))
                b = json.dumps(items).encode(); i = tarfile.TarInfo('manifest.json'); i.size = len(b); \#
        t.addfile(i, io.BytesIO(b))
        def config(*ls): return json.dumps({'architecture': 'amd64', 'os': 'linux', 'rootfs': {'type': 'layers', \#
        'diff_ids': ['sha256:' + sha(l) for l in ls]}}).encode()
        a, b = tar('a'), tar('b', big=30000)
        open('a', 'wb').write(a); open('b', 'wb').write(b)

        """#

    @Test func plainLinkedAndPackedLayers() throws {
        let fixture = try ImportFixture()
        try fixture.python(
            Self.build + """
                c = config(a, b, a, b); long = 'x' * 150
                archive('in.tar', [{'Config': sha(c) + '.json', 'RepoTags': ['busybox:latest', 'quay.io/x:1'],
                    'Layers': ['one/layer.tar', long + '/layer.tar', 'three/layer.tar', 'blobs/sha256/x']},
                    {'Config': 'other.json', 'RepoTags': ['other:1'], 'Layers': ['one/layer.tar']}],
                    [('one/layer.tar', a), (sha(c) + '.json', c), ('three/layer.tar', '../one/layer.tar'), \
                ('other.json', config(a)),
                     (long + '/layer.tar', b), ('blobs/sha256/x', gzip.compress(b))], fmt=tarfile.PAX_FORMAT)
                """)
        for name in ["busybox", "busybox:latest", "docker.io/library/busybox", "quay.io/x:1"] {
            let image = try ImageSource.open(.dockerArchive(file: fixture("in.tar"), reference: name))
            for (layer, file) in zip(image.layers, ["a", "b", "a", "b"]) {
                let bytes = try layer.open().readAll()
                #expect(try bytes == fileBytes(fixture(file)))
                #expect(layer.diffID == SHA256Digest(of: bytes))
            }
        }
        #expect(try ImageSource.open(.dockerArchive(file: fixture("in.tar"), reference: "other:1")).layers.count == 1)
        for name in [nil, "x:1", "busybox:2"] {
            let error = cacheError {
                _ = try ImageSource.open(.dockerArchive(file: fixture("in.tar"), reference: name))
            }
            #expect(error?.message.contains("busybox:latest, quay.io/x:1, other:1") == true)
        }
    }

    /// `docker save` of two images in one name, and of images without any.
    @Test func differentImagesUnderOneName() throws {
        let fixture = try ImportFixture()
        try fixture.python(
            Self.build + """
                c, d = config(a), config(b)
                one, two = {'Config': sha(c) + '.json', 'RepoTags': ['x:1'], 'Layers': ['a']}, {'Config': 'd.json', \
                'RepoTags': ['x:1'], 'Layers': ['b']}
                members = [(sha(c) + '.json', c), ('d.json', d), ('a', a), ('b', b)]
                archive('two.tar', [one, two], members)
                archive('same.tar', [one, one, dict(one, RepoTags=['y:1'])], members)
                archive('bare.tar', [dict(one, RepoTags=None)], members)
                archive('bare2.tar', [dict(one, RepoTags=None), dict(two, RepoTags=None)], members)
                archive('empty.tar', None, members)
                archive('config.tar', [dict(one, Config='')], members)
                open('c', 'w').write(sha(c)); open('d', 'w').write(sha(d))
                """)
        func first(_ reference: String) throws -> String {
            let image = try ImageSource.open(SourceReference.parse("docker-archive:\(fixture(""))\(reference)"))
            return try String(decoding: image.layers[0].open().readAll().prefix { $0 != 0 }, as: UTF8.self)
        }
        let (c, d) = (
            String(decoding: try fileBytes(fixture("c")), as: UTF8.self),
            String(decoding: try fileBytes(fixture("d")), as: UTF8.self)
        )
        for reference in ["two.tar:x:1", "two.tar", "bare2.tar"] {
            let error = cacheError { _ = try first(reference) }
            #expect(error?.code == .invalidInput)
            #expect(error?.message.contains("sha256:\(c) (") == true)
            #expect(error?.message.contains("sha256:\(d) (") == true)
        }
        #expect(try first("two.tar@sha256:\(c)") == "a")
        #expect(try first("two.tar:x:1@sha256:\(d)") == "b")
        #expect(try first("bare2.tar@sha256:\(d)") == "b")
        #expect(try first("same.tar") == "a")
        #expect(try first("same.tar:x:1") == "a")
        #expect(try first("bare.tar") == "a")
        #expect(cacheError { _ = try first("empty.tar") }?.code == .missing)
        #expect(cacheError { _ = try first("config.tar") }?.message.contains("without a configuration") == true)
    }

    @Test(arguments: ["../../etc/passwd", "/etc/passwd", "loop", "out", "nothing", "a/../layer", "dir"])
    func layersThatAreNotInIt(_ layer: String) throws {
        let fixture = try ImportFixture()
        try fixture.python(
            Self.build + """
                c = config(a)
                archive('in.tar', [{'Config': 'c.json', 'Layers': ['\(layer)']}],
                    [('c.json', c), ('layer', a), ('loop', 'loop'), ('out', '../../etc/passwd'), ('dir/x', a)])
                """)
        #expect(cacheError { _ = try ImageSource.open(.dockerArchive(file: fixture("in.tar"), reference: nil)) } != nil)
    }

    /// The same path, written as `tar -C dir -c .` and some builders do.
    @Test(arguments: ["./", ".//", "././"]) func pathsWithDots(_ prefix: String) throws {
        let fixture = try ImportFixture()
        for (member, reference) in [(prefix, ""), ("", prefix), (prefix, prefix)] {
            try fixture.python(
                Self.build + """
                    c = config(a); m, r = '\(member)', '\(reference)'
                    archive('in.tar', [{'Config': r + 'c.json', 'Layers': [r + 'x/layer.tar']}], [(m + 'c.json', c), \
                    (m + 'x/layer.tar', a)])
                    """)
            let image = try ImageSource.open(.dockerArchive(file: fixture("in.tar"), reference: nil))
            #expect(try image.layers[0].open().readAll() == fileBytes(fixture("a")))
        }
    }

    @Test func damagedConfiguration() throws {
        let fixture = try ImportFixture()
        try fixture.python(
            Self.build
                + "c = config(a); archive('in.tar', [{'Config': sha(c) + '.json', 'Layers': ['a']}], [(sha(c) + "
                + "'.json', c + b' '), ('a', a)])"
        )
        #expect(
            cacheError { _ = try ImageSource.open(.dockerArchive(file: fixture("in.tar"), reference: nil)) }?.code
                == .corrupt)
    }
}
