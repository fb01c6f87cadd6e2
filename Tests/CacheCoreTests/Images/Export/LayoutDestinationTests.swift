import CacheCore
import Foundation
import NIOCore
import TestSupport
import Testing

@Suite struct LayoutDestinationTests {
    /// Copies an image as a push and a pull would.
    private func copy(_ source: String, _ destination: String) throws {
        let image = try ImageSource.open(SourceReference.parse(source))
        let output = try ImageDestination.open(DestinationReference.parse(destination))
        for (index, layer) in image.layers.enumerated() {
            let diffID = try layer.diffID ?? SHA256Digest(of: layer.open().readAll())
            try output.writeLayer(index: index, isFile: layer.isFile, diffID: diffID, source: layer.open())
        }
        #expect(try output.finish(configuration: image.configuration).isEmpty)
    }

    @Test func layoutsAndArchivesThereAndBack() throws {
        let fixture = try ImportFixture()
        try fixture.python(
            """
            ls = [tar('a', 'b', big=2000000), tar('c'), tar('c')]
            m = image('in', ls, {'config': {'Env': ['A=ü']}, 'x': 1.50}, ['', '+gzip', '+zstd'])
            layout('in', [tagged(m, 'one')])
            """)
        try copy("oci:\(fixture("in")):one", "oci-archive:\(fixture("a.tar")):x/y:1")
        try copy("oci-archive:\(fixture("a.tar")):x/y:1", "oci:\(fixture("out")):two")
        try copy("oci:\(fixture("in")):one", "oci:\(fixture("out")):three")
        try copy("oci:\(fixture("out")):two", "oci:\(fixture("out")):three")
        let before = try ImageSource.open(.ociLayout(directory: fixture("in"), tag: "one"))
        for tag in ["two", "three"] {
            let after = try ImageSource.open(.ociLayout(directory: fixture("out"), tag: tag))
            #expect(after.configuration == before.configuration)
            #expect(after.layers.map(\.diffID) == before.layers.map(\.diffID))
            for (left, right) in zip(before.layers, after.layers) {
                #expect(try left.open().readAll() == right.open().readAll())
            }
        }
        let index = try fixture.python(
            "print([m['annotations'] for m in json.load(open('out/index.json'))['manifests']])")
        #expect(index.components(separatedBy: "ref.name").count == 3, "\(index)")
        #expect(try fixture.shell("find . -name '.layercache-*'").isEmpty)
    }

    @Test(.enabled(if: BuiltProgram.isInstalled("skopeo"), "skopeo is not installed: apt-get install skopeo"))
    func skopeoReadsWhatIsWritten() throws {
        let fixture = try ImportFixture()
        try fixture.python("layout('in', [tagged(image('in', [tar('a'), tar('c')]), 'one')])")
        try copy("oci:\(fixture("in")):one", "oci:\(fixture("out")):one")
        try copy("oci:\(fixture("in")):one", "oci-archive:\(fixture("out.tar"))")
        try fixture.shell(
            """
            skopeo --insecure-policy --tmpdir . copy oci:out:one docker-archive:docker.tar:name:1
            skopeo --insecure-policy --tmpdir . copy oci-archive:out.tar oci:again:one
            skopeo --insecure-policy --tmpdir . copy --dest-compress oci:out:one oci:packed:one
            """)
        let before = try ImageSource.open(.ociLayout(directory: fixture("in"), tag: "one"))
        for source in [
            "oci:\(fixture("again"))", "oci:\(fixture("packed"))", "docker-archive:\(fixture("docker.tar")):name:1",
        ] {
            let after = try ImageSource.open(SourceReference.parse(source))
            #expect(after.layers.map(\.diffID) == before.layers.map(\.diffID), "\(source)")
            for (left, right) in zip(before.layers, after.layers) {
                #expect(try left.open().readAll() == right.open().readAll())
            }
        }
    }

    @Test func aTarBecomesAnImage() throws {
        let fixture = try ImportFixture()
        try fixture.python("open('t.tar', 'wb').write(tar('a', big=1000))")
        try copy("tar:\(fixture("t.tar"))", "oci:\(fixture("one")):x")
        try copy("tar:\(fixture("t.tar"))", "oci:\(fixture("two")):x")
        #expect(try fixture.shell("diff -r one two").isEmpty)
        try copy("oci:\(fixture("one")):x", "tar:\(fixture("back.tar"))")
        try fixture.shell("cmp t.tar back.tar")
    }

    @Test func filesStayFiles() throws {
        let fixture = try ImportFixture()
        try fixture.shell("seq 1 100000 > in; echo old > out")
        try copy("file:\(fixture("in"))", "file:\(fixture("out"))")
        try fixture.shell("cmp in out; seq 3 > t; tar cf t.tar t")
        #expect(cacheError { try copy("file:\(fixture("in"))", "tar:\(fixture("no"))") }?.code == .invalidInput)
        #expect(cacheError { try copy("tar:\(fixture("t.tar"))", "file:\(fixture("no"))") }?.code == .invalidInput)
        #expect(try fixture.shell("ls -A | tr '\\n' ' '") == "in out t t.tar ")
    }

    @Test func aLayoutOfANewerVersionIsLeftAsItIs() throws {
        let fixture = try ImportFixture()
        try fixture.python("layout('in', [tagged(image('in', [tar('a')]), 'one')])")
        for (file, text, isTaken) in [
            ("oci-layout", #"{"imageLayoutVersion": "2.0.0"}"#, false),
            ("oci-layout", #"{"imageLayoutVersion": "1.1.0", "more": 1}"#, true),
            ("index.json", #"{"schemaVersion": 3, "manifests": []}"#, false),
            ("index.json", #"{"schemaVersion": 2, "manifests": null}"#, true),
        ] {
            try fixture.shell("rm -rf out; cp -r in out; printf '%s' '\(text)' > out/\(file)")
            let error = cacheError { try copy("oci:\(fixture("in")):one", "oci:\(fixture("out")):two") }
            #expect(error?.code == (isTaken ? nil : .unsupported), "\(file) \(text): \(error as Any)")
            if file == "oci-layout" || !isTaken {
                #expect(try String(contentsOfFile: fixture("out/\(file)"), encoding: .utf8) == text)
            }
        }
    }

    @Test(arguments: ["tar:%/t", "oci:%/new:x", "oci-archive:%/t", "oci:%/old:x"])
    func wrongBytesLeaveNothing(_ destination: String) throws {
        let fixture = try ImportFixture()
        try fixture.python(
            """
            open('layer', 'wb').write(tar('a', big=3000000)); open('t', 'w').write('old')
            layout('old', [tagged(image('old', [tar('z')]), 'x')])
            """)
        let before = try fixture.shell("find . -type f | sort | xargs sha256sum")
        let layer = try fileBytes(fixture("layer"))
        let reference = try DestinationReference.parse(destination.replacingOccurrences(of: "%", with: fixture.path))
        let wrong = cacheError {
            let output = try ImageDestination.open(reference)
            try output.writeLayer(index: 0, diffID: .zero, source: PiecewiseSource(layer))
        }
        #expect(wrong?.code == .corrupt)
        let closed = cacheError {
            let output = try ImageDestination.open(reference)
            #expect(throws: CacheError.self) {
                try output.writeLayer(index: 0, diffID: .zero, source: PiecewiseSource(layer))
            }
            _ = try output.finish(configuration: nil)
        }
        #expect(closed?.code == .closed)
        #expect(try fixture.shell("find . -type f | sort | xargs sha256sum") == before)
        // Dropped half-way, as when the connection goes.
        let cut = cacheError {
            let output = try ImageDestination.open(reference)
            try output.writeLayer(index: 0, diffID: SHA256Digest(of: layer), source: FailingSource(layer))
        }
        #expect(cut?.code == .timedOut)
        #expect(try fixture.shell("find . -type f | sort | xargs sha256sum") == before)
        #expect(try fixture.shell("ls -A new 2>/dev/null || true").isEmpty)
    }

    private final class FailingSource: ByteSource {
        private let source: PiecewiseSource
        private var left = 20

        init(_ bytes: [UInt8]) { source = PiecewiseSource(bytes, piece: 100_000) }

        func read(into buffer: UnsafeMutableRawBufferPointer) throws -> Int {
            left -= 1
            if left == 0 { throw CacheError(.timedOut, "the tier went away") }
            return try source.read(into: buffer)
        }
    }

    @Test func otherFilesAreNotBuriedInBlobs() throws {
        let fixture = try ImportFixture()
        try fixture.shell("mkdir home; touch home/diary; touch file")
        for destination in [
            "oci:\(fixture("home")):x", "oci:\(fixture("file")):x", "tar:\(fixture("home"))",
            "oci:\(fixture("a/b/c")):x",
        ] {
            #expect(cacheError { _ = try ImageDestination.open(DestinationReference.parse(destination)) } != nil)
        }
        #expect(try fixture.shell("find . | sort | tr '\\n' ' '") == ". ./file ./home ./home/diary ")
    }

    @Test func strangersInTheIndexStay() throws {
        let fixture = try ImportFixture()
        try fixture.python(
            """
            m = tagged(image('oci', [tar('z')]), 'other'); m['future'] = {'a': [1, 2.5, None, True, 'ü']}
            layout('oci', [m]); open('t.tar', 'wb').write(tar('a'))
            i = json.load(open('oci/index.json')); i['annotations'] = {'k': 'v'}; json.dump(i, open('oci/index.json', \
            'w'))
            """)
        try copy("tar:\(fixture("t.tar"))", "oci:\(fixture("oci")):x")
        try fixture.python(
            """
            i = json.load(open('oci/index.json'))
            assert i['manifests'][0]['future'] == {'a': [1, 2.5, None, True, 'ü']}, i
            assert i['annotations'] == {'k': 'v'} and len(i['manifests']) == 2, i
            """)
    }

    @Test func references() throws {
        #expect(try SourceReference.parse("oci:/a/b:x:1") == .ociLayout(directory: "/a/b", tag: "x:1"))
        #expect(
            try SourceReference.parse("docker-archive:a.tar:busybox:1")
                == .dockerArchive(file: "a.tar", reference: "busybox:1"))
        #expect(try SourceReference.parse("tar:a:b") == .tar(file: "a:b"))
        #expect(try DestinationReference.parse("dir:x") == .directory("x"))
        for bad in ["", "x", "oci", "oci:", "oci::x", "oci:x:", "ocj:x", "dir:", "file:\u{0}"] {
            #expect(cacheError { _ = try SourceReference.parse(bad) }?.code == .invalidInput, "\(bad)")
        }
        for bad in ["oci:x", "zip:x", "docker-archive:x", "tar:"] {
            #expect(cacheError { _ = try DestinationReference.parse(bad) }?.code == .invalidInput, "\(bad)")
        }
    }
}
