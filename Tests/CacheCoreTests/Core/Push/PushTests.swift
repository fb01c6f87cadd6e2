import CacheCore
import Foundation
import NIOConcurrencyHelpers
import NIOCore
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(10))) struct PushTests {
    private let fixture: PushFixture
    private let content: [UInt8]

    init() throws {
        fixture = try PushFixture()
        var random = SeededGenerator()
        content = random.bytes(1_200_000)
    }

    @Test func equalChunksCountOnce() async throws {
        let block = Array(content[..<(1 << 19)])
        let bytes = block + block + [UInt8](repeating: 0, count: 1 << 19) + block + [1, 2, 3]
        let report = try await fixture.push([PushFixture.file(bytes), PushFixture.file(block)])
        #expect(report.chunks == 6)
        #expect(report.zeroChunks == 1)
        #expect(report.newChunks == 2)
        #expect(report.newBytes == block.count + 3)
        #expect(report.uploadedBytes == block.count + 3)
        #expect(report.logicalBytes == bytes.count + block.count)
        #expect(report.layers.map(\.storedBytes) == [block.count + 3, block.count])
        #expect(try await fixture.holds(bytes))
    }

    @Test func whatL3HasIsNotStoredAgain() async throws {
        try await fixture.push([PushFixture.file(content)])
        let again = try await fixture.push([PushFixture.file(content)])
        #expect(again.newChunks == 0)
        #expect(again.uploadedBytes == 0)
        #expect(again.layers[0].sharedBytes == content.count)
        let other = try await fixture.push([PushFixture.file(content)], as: "other/image:1")
        #expect(other.newChunks == 0)
        #expect(other.chunks == 3)
        #expect(try await fixture.holds(content, "other/image:1"))
        // One manifest for each of three images, and one for the layer of each of two tenants.
        #expect(try fixture.files("/manifests/").count == 5)
    }

    @Test func aLayerThatIsKnownIsNotRead() async throws {
        let diffID = SHA256Digest(of: content)
        try await fixture.push([PushFixture.file(content, diffID: diffID)])
        let unreadable = LayerSource(name: "known", isFile: true, diffID: diffID, compressedSize: nil) {
            throw CacheError(.io, "nobody should read this")
        }
        let report = try await fixture.push([unreadable], as: "acme/second:1")
        #expect(report.layers[0].wasKnown)
        #expect(report.chunks == 3)
        #expect(report.newChunks == 0)
        #expect(report.layers[0].storedBytes == content.count)
        #expect(try await fixture.holds(content, "acme/second:1"))
        // Another tenant cannot know.
        #expect(await failure { try await fixture.push([unreadable], as: "other/second:1") }?.code == .io)
    }

    @Test func aLayerThatIsNotWhatItsImagePromisesIsRefused() async throws {
        let layer = PushFixture.file(content, diffID: SHA256Digest(of: [1]))
        let error = await failure { try await fixture.push([layer]) }
        #expect(error?.code == .corrupt)
        #expect(error?.message.contains("sha256:") == true)
        #expect(try await RefStore(fixture.base).read(try ImageReference(parsing: "acme/image:1")) == nil)
    }

    /// Chunks of another length or gone are replaced by any push, those with wrong bytes where a repair is asked for.
    @Test(arguments: Damage.allCases) func damagedChunksAreReplaced(_ damage: Damage) async throws {
        let layer = PushFixture.file(content, diffID: SHA256Digest(of: content))
        try await fixture.push([layer])
        for file in try fixture.files("/chunks/") { try damage.apply(to: file) }
        let plain = try await fixture.push([PushFixture.file(content)])
        #expect(plain.newChunks == (damage == .flipped ? 0 : 3))
        let repair = try await fixture.push([layer], repair: true)
        #expect(repair.newChunks == (damage == .flipped ? 3 : 0))
        #expect(try await fixture.holds(content))
    }

    @Test(arguments: Damage.allCases) func manifestsThatCannotBeReadAreMadeAgain(_ damage: Damage) async throws {
        let layer = PushFixture.file(content, diffID: SHA256Digest(of: content))
        for place in ["/manifests/", "/layers/"] {
            try await fixture.push([layer])
            for file in try fixture.files(place) { try damage.apply(to: file) }
            let report = try await fixture.push([layer])
            #expect(!report.layers[0].wasKnown)
            #expect(report.newChunks == 0)
            #expect(try await fixture.holds(content))
            #expect(try await fixture.push([layer]).layers[0].wasKnown)
        }
    }

    /// An index object that leads to a manifest which this tenant cannot open is no better than none.
    @Test(arguments: [false, true]) func anIndexThatLeadsToAStranger(_ repair: Bool) async throws {
        let layer = PushFixture.file(content, diffID: SHA256Digest(of: content))
        try await fixture.push([layer], as: "other/image:1")
        let foreign = try #require(try fixture.files("/layers/").first)
        try await fixture.push([layer])
        let own = try #require(try fixture.files("/layers/").first { $0 != foreign })
        try Data(contentsOf: URL(fileURLWithPath: foreign)).write(to: URL(fileURLWithPath: own))
        let report = try await fixture.push([layer], repair: repair)
        #expect(!report.layers[0].wasKnown)
        #expect(try await fixture.holds(content))
        #expect(try await fixture.push([layer]).layers[0].wasKnown)
    }

    @Test func errorsOfATarNameIt() async throws {
        let layer = LayerSource(name: "some.tar", compressedSize: nil) { PiecewiseSource(Array("no tar at all".utf8)) }
        let error = await failure { try await fixture.push([layer]) }
        #expect(error?.code == .invalidInput)
        #expect(error?.message.hasPrefix("some.tar: ") == true)
    }

    /// A source names its file itself; what it says is told as it is.
    @Test func errorsOfASourceAreToldAsTheyAre() async throws {
        let layer = LayerSource(name: "some.tar", compressedSize: nil) {
            FailingSource(CacheError(.invalidInput, "blob of some.tar is broken"))
        }
        let error = await failure { try await fixture.push([layer]) }
        #expect(error?.code == .invalidInput)
        #expect(error?.message == "blob of some.tar is broken")
    }

    /// Whatever goes beyond a limit below the root of a tree is named with the tree.
    @Test func errorsOfADirectoryNameTheTree() async throws {
        for name in ["d/1", "d/2", "3"] { try fixture.scratch.write("tree/\(name)", [1]) }
        let path = fixture.scratch.path + "/tree"
        var limits = ImportLimits()
        for (entries, message) in [(1, "\(path) has more than 1 entries"), (2, nil)] {
            limits.directoryEntries = entries
            let layers = try ImageSource.open(.directory(path), limits: limits).layers
            guard let message else {
                try await fixture.push(layers)
                continue
            }
            let error = await failure { try await fixture.push(layers) }
            #expect(error?.code == .limitExceeded)
            #expect(error?.message.hasPrefix(message) == true)
        }
        limits.directoryDepth = 1
        let deep = try ImageSource.open(.directory(path), limits: limits).layers
        let error = await failure { try await fixture.push(deep) }
        #expect(error?.message.hasPrefix("\(path): \(path)/d is more than 1 directories deep") == true)
    }

    /// A push that dies before or after any of its calls to the store leaves nothing that the next one cannot finish.
    @Test(arguments: [true, false]) func aPushThatDiesAnywhereIsFinishedByTheNext(_ before: Bool) async throws {
        let layers = [PushFixture.file(content, diffID: SHA256Digest(of: content)), PushFixture.file([1, 2, 3])]
        for victim in 1... {
            let fixture = try PushFixture()
            let calls = NIOLockedValueBox(0)
            let dying = FaultyObjectStore(fixture.base) { call, name, moment in
                guard (moment == .before) == before else { return }
                let number = calls.withLockedValue { calls in
                    calls += 1
                    return calls
                }
                if number >= victim { throw CacheError(.io, "injected failure of \(call) \(name)") }
            }
            do {
                try await fixture.push(layers, to: dying)
                #expect(victim > 15)
                return
            } catch {
                #expect((error as? CacheError)?.message.hasPrefix("injected") == true)
            }
            try await fixture.push(layers)
            #expect(try await fixture.holds(content), "failure of call \(victim)")
            // Nothing of the first is in the way of anything.
            #expect(try await fixture.push(layers).newChunks == 0)
        }
    }

    @Test func aPushThatIsCancelledEndsAndTheNextFinishesIt() async throws {
        var random = SeededGenerator()
        let large = random.bytes(20 << 19)
        let task = NIOLockedValueBox<Task<Void, any Error>?>(nil)
        let (started, begin) = AsyncStream.makeStream(of: Void.self)
        let puts = NIOLockedValueBox(0)
        let store = FaultyObjectStore(fixture.base) { call, name, moment in
            guard call == "put", name.contains("/chunks/"), moment == .after else { return }
            if puts.withLockedValue({ puts in
                puts += 1
                return puts == 3
            }) {
                task.withLockedValue { $0?.cancel() }
            }
        }
        let push = Task {
            // Not before it can be cancelled.
            for await _ in started { break }
            try await fixture.push([PushFixture.file(large)], to: store)
        }
        task.withLockedValue { $0 = push }
        begin.yield()
        await #expect(throws: CancellationError.self) { try await push.value }
        #expect(try await RefStore(fixture.base).read(try ImageReference(parsing: "acme/image:1")) == nil)
        let report = try await fixture.push([PushFixture.file(large)])
        #expect(report.newChunks <= 17)
        #expect(report.chunks == 20)
        #expect(try await fixture.holds(large))
    }

    /// What was read and is not stored yet is all that a push holds: it must not grow with the size of the layer.
    @Test func readingNeverRunsFarAheadOfStoring() async throws {
        // Several times what may be read ahead of what is stored.
        let size = 1 << 27
        let source = CountedBlocks(size)
        let chunk = 1 << 19
        let stored = NIOLockedValueBox((count: 0, most: 0))
        let store = FaultyObjectStore(fixture.base) { call, name, moment in
            guard call == "put", name.contains("/chunks/"), moment == .after else { return }
            let read = source.read.withLockedValue { $0 }
            stored.withLockedValue { stored in
                stored.most = max(stored.most, read - stored.count * chunk)
                stored.count += 1
            }
        }
        let layer = LayerSource(name: "blocks", isFile: true, compressedSize: size) { CountedBlocks.Reader(source) }
        let report = try await fixture.push([layer], to: store)
        #expect(report.logicalBytes == size)
        #expect(report.newChunks == size / chunk)
        #expect(stored.withLockedValue { $0.most } <= (PushOptions().chunksInFlight + 8) * chunk)
    }
}

/// A source that cannot be read.
private final class FailingSource: ByteSource {
    private let error: CacheError

    init(_ error: CacheError) { self.error = error }

    func read(into buffer: UnsafeMutableRawBufferPointer) throws -> Int { throw error }
}

/// A long source without a file: blocks of zeros, each of which begins with its number.
private final class CountedBlocks: Sendable {
    let read = NIOLockedValueBox(0)
    private let size: Int

    init(_ size: Int) { self.size = size }

    final class Reader: ByteSource {
        private let blocks: CountedBlocks

        init(_ blocks: CountedBlocks) { self.blocks = blocks }

        func read(into buffer: UnsafeMutableRawBufferPointer) throws -> Int {
            let done = blocks.read.withLockedValue { $0 }
            let rest = (1 << 19) - done % (1 << 19)
            let count = min(buffer.count, rest, blocks.size - done)
            guard count > 0 else { return 0 }
            buffer[..<count].initializeMemory(as: UInt8.self, repeating: 0)
            if rest == 1 << 19, count >= 8 { buffer.storeBytes(of: UInt64(done + 1), as: UInt64.self) }
            blocks.read.withLockedValue { $0 += count }
            return count
        }
    }
}
