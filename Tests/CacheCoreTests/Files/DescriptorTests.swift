import CacheCore
import CacheFiles
import TestSupport
import Testing

/// The one place of each file operation: what its callers rely on.
@Suite struct DescriptorTests {
    private let scratch: TemporaryDirectory

    init() throws { scratch = try TemporaryDirectory() }

    private func newFile(_ name: String) throws -> OpenFile {
        try OpenFile.open("\(scratch.path)/\(name)", [.readWrite, .createNew, .noFollow], mode: 0o600)
    }

    private func read(_ file: OpenFile, _ room: Int, at offset: Int) throws -> [UInt8] {
        var bytes = [UInt8](repeating: 0xFF, count: room)
        let count = try bytes.withUnsafeMutableBytes { try file.descriptor.readAll(into: $0, at: offset) }
        return Array(bytes[..<count])
    }

    @Test func bytesAreReadWhereTheyWereWritten() throws {
        let file = try newFile("a")
        try [1, 2, 3].withUnsafeBytes { try file.descriptor.writeAll(.init(rebasing: $0[..<1])) }
        let bytes: [UInt8] = [7, 8, 9]
        try bytes.withUnsafeBytes { try file.descriptor.writeAll($0, at: 4) }
        #expect(try read(file, 7, at: 0) == [1, 0, 0, 0, 7, 8, 9])
        // Fewer than there is room for at the end, none behind it.
        #expect(try read(file, 100, at: 5) == [8, 9])
        #expect(try read(file, 100, at: 50) == [])
        #expect(try file.status().size == 7)
        #expect(try file.descriptor.seekToEnd() == 7)
        try file.descriptor.truncate(to: 2)
        #expect(try read(file, 100, at: 0) == [1, 0])
    }

    @Test func aWriteThatFailsSaysWhy() throws {
        let full = try OpenFile.open("/dev/full", .writeOnly)
        let bytes: [UInt8] = [1]
        #expect(throws: Errno.noSpace) { try bytes.withUnsafeBytes { try full.descriptor.writeAll($0) } }
        let error = #expect(throws: CacheError.self) { try OpenFile.open("\(scratch.path)/none") }
        #expect(error?.code == .io)
        #expect(error?.message == "open \(scratch.path)/none: No such file or directory")
    }

    @Test func linksAreFollowedOnlyWhereItIsWanted() throws {
        let root = try OpenFile.open(scratch.path, .directory)
        _ = try newFile("file")
        try root.descriptor.makeSymbolicLink("link", to: "file")
        #expect(try root.descriptor.target(ofLink: "link") == FileName("file"))
        #expect(try root.descriptor.status(of: "link").kind == .symbolicLink)
        #expect(try root.descriptor.status(of: "link", followingLinks: true).kind == .regular)
        #expect(throws: Errno.symbolicLink) { _ = try root.descriptor.open("link", .noFollow) }
        #expect(throws: CacheError.self) { try root.openEntry("link") }
        #expect(try root.openEntry("link", followingLinks: true).kind() == .bytes)
    }

    @Test func entriesAreToldWithTheirKinds() throws {
        let root = try OpenFile.open(scratch.path, .directory)
        _ = try newFile("file")
        try root.descriptor.makeDirectory("directory", mode: 0o700)
        try root.descriptor.makeNode("pipe", .fifo, mode: 0o600, device: (0, 0))
        let found = try root.namedEntries().reduce(into: [:]) { $0[$1.name] = $1.kind }
        #expect(found == ["file": .regular, "directory": .directory, "pipe": .fifo])
        #expect(try root.directoryNames() == [FileName("directory")])
        try root.removeContents()
        #expect(try root.isEmpty())
    }

    @Test func directoriesAreMadeWithThoseAboveThem() throws {
        for isDurable in [true, false] {
            let top = "\(scratch.path)/\(isDurable)"
            try DirectoryPath.make("\(top)/a//b/c/", mode: 0o700, isDurable: isDurable)
            #expect(FileStatus.find("\(top)/a/b/c")?.kind == .directory)
            try DirectoryPath.make("\(top)/a/b/c", mode: 0o700, isDurable: isDurable)
        }
        _ = try newFile("file")
        let error = #expect(throws: CacheError.self) {
            try DirectoryPath.make("\(scratch.path)/file/d", mode: 0o700, isDurable: false)
        }
        #expect(error?.message == "make directory \(scratch.path)/file/d: Not a directory")
        #expect(DirectoryPath.canNeverBe("\(scratch.path)/file"))
        #expect(DirectoryPath.canNeverBe("\(scratch.path)/file/d"))
        #expect(!DirectoryPath.canNeverBe("\(scratch.path)/none"))
    }

    @Test(arguments: [
        ("a", "."), ("a/", "."), ("a/b", "a"), ("/a", "/"), ("/a/b", "/a"), ("/", "/"), (".", "."), ("", "."),
    ]) func parents(_ path: String, _ parent: String) {
        #expect(DirectoryPath.parent(of: path) == parent)
    }

    @Test func locksAreSharedOrNot() throws {
        let (one, other) = (try newFile("lock"), try OpenFile.open("\(scratch.path)/lock"))
        #expect(try FileLock.attempt(one.descriptor, .shared))
        #expect(try FileLock.attempt(other.descriptor, .shared))
        #expect(try !FileLock.attempt(one.descriptor, .exclusive))
        FileLock.unlock(other.descriptor)
        #expect(try FileLock.attempt(one.descriptor, .exclusive))
        #expect(try !FileLock.attempt(other.descriptor, .shared))
    }

    @Test func aTemporaryFileGetsItsNameOrGoes() throws {
        let path = "\(scratch.path)/new"
        let kept = try TemporaryEntry.file(for: path, mode: 0o600)
        #expect(FileStatus.find(path) == nil)
        try kept.rename(to: path)
        #expect(try FileStatus.find(path)?.identity == kept.file.status().identity)
        let root = try OpenFile.open(scratch.path, .directory)
        let entries = [
            try TemporaryEntry.directory(for: path), try TemporaryEntry.directory(in: root),
            try TemporaryEntry.file(in: root, for: "x", mode: 0o600),
        ]
        #expect(try root.entryNames(atMost: 10).count == 4)
        for entry in entries { entry.discard() }
        #expect(try root.entryNames(atMost: 10) == [FileName("new")])
    }
}
