import CacheCore
import Foundation
import Glibc
import NIOCore
import TestSupport
import Testing

@testable import CacheObjectStore

@Suite struct FileObjectStoreTests {
    private let scratch: TemporaryDirectory

    init() throws { scratch = try TemporaryDirectory() }

    @Test func leavesNoTemporaryFilesAndCleansUpAfterOthers() async throws {
        try scratch.write(".tmp/dead.lock", [])
        try scratch.write(".tmp/dead.1", [1, 2, 3])
        try scratch.write(".tmp/orphan.7", [1])
        let first = try scratch.store()
        _ = try await first.putIfAbsent(key("a"), ByteBuffer(string: "1"))
        let locks = scratch.names(".tmp")
        try #require(locks.count == 1)
        #expect(locks[0].hasSuffix(".lock"))
        // A second store must not take the first one's temporary files for abandoned.
        let living = locks[0].dropLast(5) + ".99"
        try scratch.write(".tmp/\(living)", [1])
        let second = try scratch.store()
        _ = try await second.putIfAbsent(key("b"), ByteBuffer(string: "1"))
        #expect(scratch.names(".tmp").contains(String(living)))
        withExtendedLifetime((first, second)) {}
    }

    /// A store that has made nothing yet knows nothing of what is durable in a directory that another one filled.
    @Test func findsWhatAnotherStorePut() async throws {
        let first = try scratch.store()
        #expect(try await first.putIfAbsent(key("a/b"), ByteBuffer(string: "1")) == .created)
        let second = try scratch.store()
        #expect(try await second.putIfAbsent(key("a/b"), ByteBuffer(string: "1")) == .alreadyPresent)
        withExtendedLifetime((first, second)) {}
    }

    @Test func readsWithoutLeavingAnything() async throws {
        let store = try scratch.store()
        #expect(try await store.get(key("a/b"), limit: 1) == nil)
        #expect(scratch.names().isEmpty)
    }

    @Test func missingRootIsNamed() async throws {
        let path = scratch.path + "/none"
        let error = await failure { try FileObjectStore(root: path, create: false) }
        #expect(error?.code == .missing)
        #expect(error?.message.contains(path) == true)
        _ = try FileObjectStore(root: path + "/deep/er/", create: true)
        #expect(scratch.names("none/deep/er").isEmpty)
        #expect(scratch.names("none") == ["deep"])
    }

    @Test func refusesLinksAndSpecialFiles() async throws {
        let store = try scratch.store()
        try scratch.write("real/object", [1])
        try FileManager.default.createSymbolicLink(
            atPath: scratch.path + "/real/link", withDestinationPath: scratch.path + "/real/object")
        try FileManager.default.createSymbolicLink(
            atPath: scratch.path + "/linked", withDestinationPath: scratch.path + "/real")
        #expect(mkfifo(scratch.path + "/real/pipe", 0o600) == 0)
        for name in ["real/link", "linked/object", "real/pipe"] {
            for error in [
                await failure { try await store.get(key(name), limit: 9) },
                await failure { try await store.head(key(name)) },
                await failure { try await store.putIfAbsent(key(name), ByteBuffer(string: "1")) },
            ] {
                #expect(error?.code == .io, "\(name): \(error as Any)")
                #expect(error?.description.contains(name) == true, "\(name): \(error as Any)")
            }
        }
        // They hide nothing else.
        let all = try await store.list(prefix: "", delimiter: false, after: nil, limit: 9)
        #expect(all.objects.map(\.key.rawValue) == ["real/object"])
        #expect(all.next == nil)
        #expect(all.foreign == ["linked", "real/link", "real/pipe"])
        let first = try await store.list(prefix: "", delimiter: true, after: nil, limit: 1)
        #expect(first.prefixes == ["real/"])
        #expect(first.foreign == ["linked"])
        let below = try await store.list(prefix: "real/", delimiter: true, after: "real/link", limit: 9)
        #expect(below.objects.map(\.key.rawValue) == ["real/object"])
        #expect(below.foreign == ["real/pipe"])
    }

    @Test func pagesShowWhatIsForeignOnce() async throws {
        let store = try scratch.store()
        for name in ["a", "c", "e"] { _ = try await store.putIfAbsent(key(name), ByteBuffer(string: "1")) }
        for name in ["b", "d", "f"] {
            try FileManager.default.createSymbolicLink(atPath: scratch.path + "/\(name)", withDestinationPath: "a")
        }
        var foreign: [String] = []
        var after: String?
        repeat {
            let page = try await store.list(prefix: "", delimiter: true, after: after, limit: 1)
            foreign += page.foreign
            after = page.next
        } while after != nil
        #expect(foreign == ["b", "d", "f"])
    }

    @Test func openDirectoriesGiveWayToOtherDescriptors() throws {
        let root = try OpenFile.open(scratch.path, .directory)
        let directories = ObjectDirectories(root: root, maximumOpen: 8)
        for number in 0..<50 { _ = try directories.make("d/\(number)"[...]) }
        #expect((1...8).contains(directories.openCount))
        // The first call finds no descriptor left.
        var calls = 0
        let found = try directories.withRoom { () throws(Errno) in
            calls += 1
            if calls == 1 { throw .tooManyOpenFiles }
            return Descriptor(rawValue: 7)
        }
        #expect(found.rawValue == 7)
        #expect(calls == 2)
        #expect(directories.openCount == 0)
        for number in 0..<50 { #expect(try directories.find("d/\(number)"[...]) != nil) }
    }

    @Test func namesThatAFilesystemCannotHoldBesideEachOther() async throws {
        let store = try scratch.store()
        _ = try await store.putIfAbsent(key("a/b"), ByteBuffer(string: "1"))
        let above = await failure { try await store.putIfAbsent(key("a"), ByteBuffer(string: "1")) }
        #expect(above?.code == .io)
        #expect(above?.message.contains("object a ") == true)
        let below = await failure { try await store.putIfAbsent(key("a/b/c"), ByteBuffer(string: "1")) }
        #expect(below?.code == .io)
        #expect(below?.message.contains("object a/b/c ") == true)
        let long = await failure {
            try await store.putIfAbsent(key(String(repeating: "x", count: 300)), ByteBuffer(string: "1"))
        }
        #expect(long?.description.contains("name too long") == true)
    }

    @Test func removedDirectoryIsMadeAgain() async throws {
        let store = try scratch.store()
        _ = try await store.putIfAbsent(key("a/b/c"), ByteBuffer(string: "1"))
        try FileManager.default.removeItem(atPath: scratch.path + "/a")
        #expect(try await store.get(key("a/b/c"), limit: 9) == nil)
        #expect(try await store.putIfAbsent(key("a/b/c"), ByteBuffer(string: "2")) == .created)
        #expect(try await store.text("a/b/c") == "2")
    }

    /// As when a filesystem is unmounted and mounted again, or a copy takes the place of what was lost.
    @Test func whatIsThereCounts() async throws {
        let parent = try TemporaryDirectory()
        let root = parent("store")
        let store = try FileObjectStore(root: root, create: true)
        _ = try await store.putIfAbsent(key("a/b/c"), ByteBuffer(string: "1"))
        try FileManager.default.moveItem(atPath: root, toPath: parent("away"))
        let gone = await failure { try await store.get(key("a/b/c"), limit: 9) }
        #expect(gone?.code == .io)
        #expect(gone?.message.contains("there is no object store at \(root)") == true)
        let unwritten = await failure { try await store.putIfAbsent(key("a/b/d"), ByteBuffer(string: "1")) }
        #expect(unwritten?.code == .io)
        let other = try FileObjectStore(root: root, create: true)
        #expect(try await store.get(key("a/b/c"), limit: 9) == nil)
        _ = try await other.putIfAbsent(key("a/b/c"), ByteBuffer(string: "2"))
        #expect(try await store.text("a/b/c") == "2")
        try FileManager.default.moveItem(atPath: root + "/a", toPath: parent("a"))
        #expect(try await store.get(key("a/b/c"), limit: 9) == nil)
        #expect(try await store.putIfAbsent(key("a/b/c"), ByteBuffer(string: "3")) == .created)
        #expect(try await other.text("a/b/c") == "3")
        try FileManager.default.removeItem(atPath: root)
        try FileManager.default.moveItem(atPath: parent("away"), toPath: root)
        #expect(try await store.text("a/b/c") == "1")
        #expect(try await store.putIfAbsent(key("a/b/d"), ByteBuffer(string: "4")) == .created)
        #expect(try String(contentsOfFile: root + "/a/b/d", encoding: .utf8) == "4")
    }

    @Test func strangersInTheDirectoryAreNoObjects() async throws {
        let store = try scratch.store()
        try scratch.write("has space", [1])
        try scratch.write(".hidden/x", [1])
        try scratch.write("fine", [1])
        let page = try await store.list(prefix: "", delimiter: false, after: nil, limit: 10)
        #expect(page.objects.map(\.key.rawValue) == ["fine"])
    }

    @Test func fullDiskAndForbiddenDirectoryNameTheObject() async throws {
        // Where the tests run as root, permissions forbid nothing: a file in place of a directory does.
        try scratch.write(".tmp", [])
        let store = try scratch.store()
        let error = await failure { try await store.putIfAbsent(key("a/b"), ByteBuffer(string: "1")) }
        #expect(error?.code == .io)
        #expect(error?.description.contains("object a/b of \(scratch.path)") == true)
    }

    @Test func tooManyCallsAreRefused() async throws {
        let store = try FileObjectStore(root: scratch.path, create: true, threads: 1, maximumInFlight: 2)
        let codes = await withTaskGroup { group in
            for number in 0..<50 {
                group.addTask { () -> CacheError.Code? in
                    do {
                        _ = try await store.putIfAbsent(key("o/\(number)"), ByteBuffer(string: "1"))
                        return nil
                    } catch { return (error as? CacheError)?.code }
                }
            }
            return await group.reduce(into: []) { $0.append($1) }
        }
        #expect(codes.contains(nil))
        #expect(codes.allSatisfy { $0 == nil || $0 == .overloaded })
    }

    @Test func killedWriterLeavesOnlyWholeObjects() async throws {
        for round in 0..<4 {
            let child = try ChildProcess(built: "object-exerciser", ["put", scratch.path, "\(round)"])
            try child.blockUntilLines(40 + 23 * round)
            child.kill()
            let store = try scratch.store()
            var after: String?
            var count = 0
            repeat {
                let page = try await store.list(prefix: "objects/", delimiter: false, after: after, limit: 1000)
                for (object, size) in page.objects {
                    let body = try #require(await store.get(object, limit: 1 << 20)).body
                    #expect(body.readableBytes == size)
                    let name = body.withUnsafeReadableBytes { SHA256Digest(hashing: $0).hex }
                    #expect(object.rawValue.hasSuffix(name), "round \(round)")
                }
                count += page.objects.count
                after = page.next
            } while after != nil
            #expect(count >= 40)
            // The next writer finds the way free, and removes what was left.
            _ = try await store.putIfAbsent(key("after/\(round)"), ByteBuffer(string: "1"))
            #expect(scratch.names(".tmp").count == 1)
        }
    }

    @Test func processesThatSwapLoseNothing() async throws {
        let children = try (0..<3).map { _ in
            try ChildProcess(built: "object-exerciser", ["count", scratch.path, "refs/n", "30"])
        }
        for child in children { try await child.wait().succeeded() }
        #expect(try await scratch.store().text("refs/n") == "90")
    }
}
