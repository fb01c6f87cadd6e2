import CacheCore
import Foundation
import Glibc
import Testing

/// What a pull leaves when it is killed: the next one to the same destination removes it, and nothing that is
/// another's.
@Suite struct AbandonedPullTests {
    private static let prefix = ".layercache-"

    private func begin(_ destination: String) throws -> AnyObject {
        let reference = try DestinationReference.parse(destination)
        if case .directory(let path) = reference { return try DirectoryDestination(path) }
        return try ImageDestination.open(reference)
    }

    private func beginLayers(_ destination: String) throws -> ImageDestination {
        try ImageDestination.open(try DestinationReference.parse(destination))
    }

    /// The temporary names that a destination is filled under, found out while it is open.
    private func temporaries(_ fixture: ImportFixture) throws -> [String] {
        try fixture.shell("find . -name '\(Self.prefix)*' | sort").split(separator: "\n").map(String.init)
    }

    private func copy(_ tar: [UInt8], to destination: String) throws {
        if case .directory(let path) = try DestinationReference.parse(destination) {
            _ = try extract([tar], to: path)
            return
        }
        let output = try beginLayers(destination)
        try output.writeLayer(index: 0, diffID: SHA256Digest(of: tar), source: PiecewiseSource(tar))
        _ = try output.finish(configuration: nil)
    }

    @Test(arguments: ["tar:%/out", "file:%/out", "oci-archive:%/out", "dir:%/out", "dir:%/there"])
    func whatAKilledOneLeftGoesWithTheNext(_ form: String) throws {
        let fixture = try ImportFixture()
        try fixture.shell("mkdir there; echo x > a; tar cf t.tar a; rm a")
        let destination = form.replacingOccurrences(of: "%", with: fixture.path)
        var open: AnyObject? = try begin(destination)
        let name = try #require(try temporaries(fixture).first)
        // While it is being filled, another one to the same place leaves it alone.
        let second = cacheError { _ = try begin(destination) }
        #expect((second != nil) == form.contains("there"))
        #expect(try temporaries(fixture) == [name])
        open = nil
        #expect(open == nil)
        #expect(try temporaries(fixture).isEmpty)
        // Not locked by any process: as after kill -9.
        let isDirectory = form.hasPrefix("dir:")
        let stem = name.dropLast(5)
        try fixture.shell(
            isDirectory
                ? "mkdir -p \(stem)left1/sub/deep \(stem)left2; echo x > \(stem)left1/sub/file; "
                    + "ln -s /etc \(stem)left1/link"
                : "echo x > \(stem)left1; echo x > \(stem)left2")
        // What looks alike and is not for this destination, or no file, stays.
        try fixture.shell("touch \(Self.prefix)0123456789abcdef-other; touch keep; ln -s keep \(Self.prefix)link")
        if form.contains("out") { try fixture.shell("ln -s keep \(stem)link; mkfifo \(stem)pipe") }
        if form.hasPrefix("file:") {
            let output = try beginLayers(destination)
            try output.writeLayer(
                index: 0, isFile: true, diffID: SHA256Digest(of: [1]), source: PiecewiseSource([1]))
            _ = try output.finish(configuration: nil)
        } else {
            try copy(try fileBytes(fixture("t.tar")), to: destination)
        }
        let left = try temporaries(fixture)
        #expect(!left.contains { $0.contains("left") }, "\(left)")
        #expect(left.count == (form.contains("out") ? 4 : 2), "\(left)")
        #expect(try fixture.shell("ls keep") == "keep\n")
        if isDirectory { #expect(try fixture.shell("ls -A \(destination.dropFirst(4))") == "a\n") }
    }

    /// However deep a tree is, and however many directories it has, few descriptors are in use when it is made and when
    /// it is removed.
    @Test func deepTrees() throws {
        let fixture = try ImportFixture()
        let path = String(repeating: "d/", count: 1900)
        var tar = TarBuilder()
        for name in ["f", "g/h"] {
            tar.pax("path", path + name)
            tar.file("x", [1, 2, 3])
        }
        let bytes = tar.finished()
        #expect(try extract([bytes], to: fixture("out")).isEmpty)
        let look =
            "import os\nos.chdir('out')\nfor i in range(1900): os.chdir('d')\nprint(sorted(os.listdir('.')), "
            + "len(open('g/h').read()))"
        #expect(try fixture.python(look) == "['f', 'g'] 3\n")
        let root = try OpenFile.open(fixture.path, .directory)
        try root.removeEntry(FileName("out"))
        #expect(try root.isEmpty())
    }

    @Test func aNewLayoutThatWasBegunIsContinued() throws {
        let fixture = try ImportFixture()
        try fixture.shell("echo x > a; tar cf t.tar a; rm a; mkdir empty")
        let tar = try fileBytes(fixture("t.tar"))
        try copy(tar, to: "oci:\(fixture("model")):x")
        let blob = try fixture.shell("ls model/blobs/sha256 | head -1").dropLast()
        // The name that a blob has while it is written, from a layout where writing one fails after that.
        let prefix = SHA256Digest(of: Array(".".utf8)).hex.prefix(16)
        for (place, name) in [("new", "\(Self.prefix)\(prefix)-1"), ("old", "\(Self.prefix)\(prefix)-2")] {
            try fixture.shell(
                """
                mkdir -p \(place)/blobs/sha256; cp model/blobs/sha256/\(blob) \(place)/blobs/sha256
                echo half > \(place)/blobs/sha256/\(name); echo half > \(place)/\(name)
                """)
            if place == "old" { try fixture.shell("cp model/index.json model/oci-layout old") }
            try copy(tar, to: "oci:\(fixture(place)):x")
            #expect(try fixture.shell("diff -r model \(place)").isEmpty)
        }
    }

    @Test func aLayoutThatFailsLeavesAnEmptyDirectoryEmpty() throws {
        let fixture = try ImportFixture()
        try fixture.shell(
            "mkdir empty; echo x > a; tar cf t.tar a; rm a; mkdir -p foreign/blobs/mine; touch foreign/blobs/mine/x")
        let tar = try fileBytes(fixture("t.tar"))
        for place in ["empty", "new"] {
            var output: ImageDestination? = try beginLayers("oci:\(fixture(place)):x")
            try output?.writeLayer(index: 0, diffID: SHA256Digest(of: tar), source: PiecewiseSource(tar))
            #expect(try fixture.shell("find \(place) -type f | wc -l") == "1\n")
            output = nil
        }
        #expect(try fixture.shell("ls -A; ls -A empty") == "empty\nforeign\nt.tar\n")
        #expect(cacheError { _ = try begin("oci:\(fixture("foreign")):x") }?.code == .invalidInput)
        // Blobs without an index may be a layout that was begun, or another program's: they stay.
        try fixture.shell("mkdir -p begun/blobs/sha256; touch begun/blobs/sha256/x")
        do { _ = try begin("oci:\(fixture("begun")):x") }
        #expect(try fixture.shell("find begun -type f") == "begun/blobs/sha256/x\n")
        // One that fails takes nothing from another one that is at work in the same new layout.
        let other = try beginLayers("oci:\(fixture("shared")):x")
        try other.writeLayer(index: 0, diffID: SHA256Digest(of: tar), source: PiecewiseSource(tar))
        do { _ = try begin("oci:\(fixture("shared")):y") }
        _ = try other.finish(configuration: nil)
        #expect(try ImageSource.open(.ociLayout(directory: fixture("shared"), tag: "x")).layers.count == 1)
    }

    /// A new name is never longer than the destination's may be.
    @Test func longNames() throws {
        let fixture = try ImportFixture()
        try fixture.shell("echo x > a; tar cf t.tar a")
        let tar = try fileBytes(fixture("t.tar"))
        let name = String(repeating: "n", count: 255)
        try copy(tar, to: "tar:\(fixture(name))")
        try copy(tar, to: "dir:\(fixture("d" + name.dropFirst()))/")
        #expect(try temporaries(fixture).isEmpty)
    }

    /// What is pulled into a directory that exists looks as in a new one: the root's owner, mode, time and attributes,
    /// too.
    @Test func anExistingDirectoryGetsWhatTheRootEntrySays() throws {
        let fixture = try ImportFixture()
        try fixture.shell(
            """
            mkdir -p in/sub/deep in/locked; echo x > in/sub/deep/f; setfattr -n user.note -v root in 2>/dev/null || true
            ln -s sub in/link; chmod 2751 in; chmod 555 in/sub; chmod 500 in/locked; touch -d @123456 in/sub in
            tar --xattrs --format=posix -C in -cf t.tar .; mkdir there
            """)
        let tar = try fileBytes(fixture("t.tar"))
        for place in ["there", "new"] { _ = try extract([tar], to: fixture(place)) }
        let look = "find . -printf '%p %m %U %G %s %T@ %y %l\\n' | sort; getfattr -d . 2>/dev/null || true"
        let expected = try fixture.shell("cd in; \(look)")
        for place in ["there", "new"] { #expect(try fixture.shell("cd \(place); \(look)") == expected, "\(place)") }
        // Without an entry for it, the directory that was there stays as it was.
        try fixture.shell("mkdir plain; chmod 1700 plain; tar -C in -cf t2.tar sub")
        _ = try extract([fileBytes(fixture("t2.tar"))], to: fixture("plain"))
        #expect(try fixture.shell("stat -c %a plain") == "1700\n")
    }
}
