import CacheClient
import CacheCore
import Foundation
import Glibc
import NIOCore
import TestSupport
import Testing

/// Pulls that end early.
@Suite(.timeLimit(.minutes(10))) struct PullTests {
    private let fixture: ClientFixture

    init() throws { fixture = try ClientFixture() }

    /// A pull that is cancelled returns although L3 hangs, and leaves nothing of the destination.
    @Test(arguments: [true, false]) func aPullThatIsCancelledReturns(_ isFile: Bool) async throws {
        let content = fixture.bytes(3_000_000)
        if isFile {
            try await fixture.push(content)
        } else {
            try Data(content).write(to: URL(fileURLWithPath: fixture("content")))
            try #require(system("tar -C '\(fixture.path)' -cf '\(fixture("a.tar"))' content") == 0)
            try await fixture.push(.tar(file: fixture("a.tar")))
        }
        let before = fixture.store.chunkReads
        try FileManager.default.createDirectory(atPath: fixture("out"), withIntermediateDirectories: true)
        try await fixture.withCache { cache in
            let image = try await fixture.image(cache)
            fixture.store.set(.hanging)
            let pull = Task {
                try await ImagePuller(image).pull(to: isFile ? .file(fixture("out/it")) : .tar(file: fixture("out/it")))
            }
            await fixture.store.waitForReads(before + 1)
            pull.cancel()
            await #expect(throws: (any Error).self) { _ = try await pull.value }
            #expect(try FileManager.default.contentsOfDirectory(atPath: fixture("out")).isEmpty)
            fixture.store.set(.none)
        }
    }

    /// The same for a directory, new or there before: what was written is removed before the pull returns.
    @Test(arguments: [true, false]) func aPullOfFilesThatIsCancelledLeavesNothing(_ isThere: Bool) async throws {
        try FileManager.default.createDirectory(atPath: fixture("in/d"), withIntermediateDirectories: true)
        for name in ["d/a", "d/b", "c"] {
            try Data(fixture.bytes(3_000_000)).write(to: URL(fileURLWithPath: fixture("in/\(name)")))
        }
        try await fixture.push(.directory(fixture("in")))
        try FileManager.default.createDirectory(
            atPath: fixture(isThere ? "out/it" : "out"), withIntermediateDirectories: true)
        // The entry table and a few chunks come, and then nothing.
        let before = fixture.store.chunkReads
        try await fixture.withCache { cache in
            let image = try await fixture.image(cache)
            _ = try await image.layers[0].entries.reduce(0) { count, _ in count + 1 }
            fixture.store.set(.hanging)
            let pull = Task { try await ImagePuller(image).pull(to: .directory(fixture("out/it"))) }
            await fixture.store.waitForReads(before + 2)
            pull.cancel()
            await #expect(throws: (any Error).self) { _ = try await pull.value }
            let left = try FileManager.default.subpathsOfDirectory(atPath: fixture("out"))
            #expect(left == (isThere ? ["it"] : []))
            fixture.store.set(.none)
        }
    }

    @Test(arguments: [true, false]) func aPullThatFailsNamesTheObjectAndLeavesNothing(_ isOfFiles: Bool) async throws {
        try FileManager.default.createDirectory(atPath: fixture("in"), withIntermediateDirectories: true)
        try Data(fixture.bytes(3_000_000)).write(to: URL(fileURLWithPath: fixture("in/a")))
        try await fixture.push(.directory(fixture("in")))
        try FileManager.default.createDirectory(atPath: fixture("out"), withIntermediateDirectories: true)
        try await fixture.withCache { cache in
            let image = try await fixture.image(cache)
            _ = try await image.layers[0].entries.reduce(0) { count, _ in count + 1 }
            fixture.store.set(.corrupting)
            let error = await cacheError {
                try await ImagePuller(image).pull(
                    to: isOfFiles ? .directory(fixture("out/it")) : .tar(file: fixture("out/it")))
            }
            #expect(error?.code == .corrupt)
            #expect(error?.message.contains("/chunks/") == true)
            #expect(try FileManager.default.contentsOfDirectory(atPath: fixture("out")).isEmpty)
        }
    }

    /// What an upper layer replaces is not fetched; a chunk that several files share is fetched once.
    @Test func onlyWhatIsLeftIsFetched() async throws {
        try FileManager.default.createDirectory(atPath: fixture("in"), withIntermediateDirectories: true)
        for number in 0..<100 {
            try Data(fixture.bytes(3000)).write(to: URL(fileURLWithPath: fixture("in/\(number)")))
        }
        try Data(fixture.bytes(4_000_000)).write(to: URL(fileURLWithPath: fixture("in/zz")))
        // The same path again, as a link.
        try #require(
            system("cd '\(fixture.path)'; tar -C in -cf a.tar .; rm in/zz; ln -s 1 in/zz; tar -C in -rf a.tar ./zz")
                == 0)
        try await fixture.push(.tar(file: fixture("a.tar")))
        try await fixture.withCache { cache in
            let image = try await fixture.image(cache)
            let before = fixture.store.chunkReads
            _ = try await ImagePuller(image).pull(to: .directory(fixture("out")))
            let manifest = image.layers[0].manifest
            let big = (4_000_000 + ChunkLimits.plainBytes - 1) / ChunkLimits.plainBytes
            // Files of equal bytes may fill equal packs, which are one chunk.
            let left = Set(manifest.data).count - big + Set(manifest.entries).count
            #expect(fixture.store.chunkReads - before == left)
            #expect(system("diff -r '\(fixture("in"))' '\(fixture("out"))'") == 0)
        }
    }

    /// A name of any length that the filesystem takes, and nothing left of those that were killed before.
    @Test func aFileOfALongName() async throws {
        let content = fixture.bytes(1_000_000)
        try await fixture.push(content)
        try FileManager.default.createDirectory(atPath: fixture("out"), withIntermediateDirectories: true)
        let name = String(repeating: "n", count: 255)
        let left = ".layercache-\(SHA256Digest(hashing: name).hex.prefix(16))-left"
        try Data([1]).write(to: URL(fileURLWithPath: fixture("out/\(left)")))
        try await fixture.withCache { cache in
            _ = try await ImagePuller(fixture.image(cache)).pull(to: .file(fixture("out/\(name)")))
        }
        #expect(try FileManager.default.contentsOfDirectory(atPath: fixture("out")) == [name])
        #expect(try [UInt8](Data(contentsOf: URL(fileURLWithPath: fixture("out/\(name)")))) == content)
    }

    @Test func aStreamThatIsGivenUpStopsReading() async throws {
        let content = fixture.bytes(30 << 19)
        try await fixture.push(content)
        let before = fixture.store.chunkReads
        try await fixture.withCache {
            $0.readAhead = 4
        } _: { cache in
            for try await piece in try await fixture.image(cache).layers[0].bytes {
                #expect(piece == ByteBuffer(bytes: content[..<piece.readableBytes]))
                break
            }
        }
        #expect(fixture.store.chunkReads <= before + 5)
    }

    @Test func aPullThatFailsNamesTheObjectAndLeavesNothing() async throws {
        try await fixture.push(fixture.bytes(3_000_000))
        try FileManager.default.createDirectory(atPath: fixture("out"), withIntermediateDirectories: true)
        fixture.store.set(.corrupting)
        try await fixture.withCache { cache in
            let image = try await fixture.image(cache)
            let error = await cacheError { try await ImagePuller(image).pull(to: .file(fixture("out/it"))) }
            #expect(error?.code == .corrupt)
            #expect(error?.message.contains("/chunks/") == true)
            #expect(try FileManager.default.contentsOfDirectory(atPath: fixture("out")).isEmpty)
            let report = try await ImageVerifier(image).verify()
            #expect(report.chunks == 6)
            #expect(report.problems.count == 6)
        }
    }
}

extension SHA256Digest {
    fileprivate init(hashing text: String) {
        self = Array(text.utf8).withUnsafeBytes { SHA256Digest(hashing: $0) }
    }
}
