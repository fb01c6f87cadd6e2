import CacheCore
import Foundation
import Testing

/// What people name by mistake, and what only a hostile one makes: each gets one line that says what it is.
@Suite struct MistakenInputTests {
    /// The error of reading all layers of a source.
    private func failure(_ source: String, _ fixture: ImportFixture) -> CacheError? {
        cacheError {
            let reference = try SourceReference.parse(source.replacingOccurrences(of: "%", with: fixture.path))
            for layer in try ImageSource.open(reference).layers {
                let splitter = LayerSplitter(try layer.open(), kind: layer.kind)
                while try splitter.next() != nil {}
            }
        }
    }

    @Test(arguments: [
        ("xz", "printf '\\xfd7zXZ\\0rest of it, whatever that is'", "compressed with xz"),
        ("bz2", "printf 'BZh91AY&SYrest'; head -c 1000 /dev/zero", "compressed with bzip2"),
        ("lz4", "printf '\\x04\\x22\\x4d\\x18rest'; head -c 1000 /dev/zero", "compressed with lz4"),
        ("Z", "printf '\\x1f\\x9drest'; head -c 1000 /dev/zero", "compressed with compress"),
        ("zip", "printf 'PK\\x03\\x04rest'; head -c 1000 /dev/zero", "use zip:FILE"),
    ])
    func otherFormats(_ name: String, _ script: String, _ expected: String) throws {
        let fixture = try ImportFixture()
        try fixture.shell("{ \(script); } > f")
        for source in ["tar:%/f", "oci-archive:%/f", "docker-archive:%/f"] {
            let error = failure(source, fixture)
            #expect(error?.code == .invalidInput, "\(error as Any)")
            #expect(error?.message.contains(expected) == true, "\(error as Any)")
        }
    }

    /// A tar may well begin with a file of such a name.
    @Test func namesThatLookLikeOtherFormats() throws {
        let fixture = try ImportFixture()
        try fixture.shell("echo x > BZh; tar cf f BZh")
        #expect(failure("tar:%/f", fixture) == nil)
    }

    @Test(.timeLimit(.minutes(10)), arguments: ["zip:%/pipe", "oci-archive:%/pipe", "docker-archive:%/pipe"])
    func pipesWhereOnlyAFileWillDo(_ source: String) throws {
        let fixture = try ImportFixture()
        try fixture.shell("mkfifo pipe")
        #expect(failure(source, fixture)?.message.contains("not a regular file") == true)
    }

    /// The index of an outer archive holds no path in memory, but bounds what is read of one.
    @Test(arguments: ["path", "linkpath"]) func longPathsInAnOuterArchive(_ key: String) throws {
        let fixture = try ImportFixture()
        try fixture.python(
            """
            for size in (65536, 65537):
                with tarfile.open(f't{size}', 'w', format=tarfile.PAX_FORMAT) as t:
                    i = tarfile.TarInfo('x'); i.type = tarfile.SYMTYPE; i.linkname = 'y'
                    i.pax_headers = {'\(key)': 'n' * size}; t.addfile(i)
            """)
        #expect(failure("oci-archive:%/t65536", fixture)?.code == .missing)
        #expect(failure("oci-archive:%/t65537", fixture)?.code == .limitExceeded)
    }

    @Test func whatReachesATerminalIsOnePlainLine() {
        let error = CacheError(.invalidInput, "'\u{1B}[2J\u{7}\u{9B}31m\r\n\u{2028}\u{2029}\u{85}\u{7F}\0ü\u{1F600}'")
        #expect(
            error.description == #"'\u{1b}[2J\u{7}\u{9b}31m\u{d}\u{a}\u{2028}\u{2029}\u{85}\u{7f}\u{0}ü"# + "\u{1F600}'"
        )
        #expect(!error.description.unicodeScalars.contains { $0.properties.generalCategory == .control })
    }

    @Test func aFileThatChangesWhileItIsRead() throws {
        let fixture = try ImportFixture()
        for change in ["echo more >> f", "touch -d @5 f", "truncate -s 1000 f"] {
            try fixture.shell("seq 1 100000 > f; : > empty")
            let source = try ImageSource.open(.file(fixture("f"))).layers[0].open()
            let empty = try ImageSource.open(.file(fixture("empty"))).layers[0].open()
            try withUnsafeTemporaryAllocation(byteCount: 1000, alignment: 1) { _ = try source.read(into: $0) }
            try fixture.shell("\(change); echo new >> empty")
            let error = cacheError { _ = try source.readAll() }
            #expect(error?.message.contains(fixture("f")) == true, "\(change): \(error as Any)")
            #expect(error?.code != .corrupt, "\(change): \(error as Any)")
            #expect(cacheError { _ = try empty.readAll() }?.code == .conflict)
        }
    }

    @Test(.enabled(if: FileManager.default.fileExists(atPath: "/proc/cpuinfo"))) func filesThatSayTheyAreEmpty() throws
    {
        let bytes = try ImageSource.open(.file("/proc/version")).layers[0].open().readAll()
        #expect(try bytes == fileBytes("/proc/version"))
        #expect(!bytes.isEmpty)
    }
}
