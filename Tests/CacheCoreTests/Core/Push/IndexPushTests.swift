import CacheCore
import CacheErofs
import Foundation
import NIOConcurrencyHelpers
import NIOCore
import TestSupport
import Testing

/// The description of an image as a device, as a push makes it.
@Suite(.timeLimit(.minutes(10))) struct IndexPushTests {
    private let fixture: PushFixture

    init() throws { fixture = try PushFixture() }

    private static func layer(_ name: String, _ build: (inout TarBuilder) -> Void) -> LayerSource {
        var tar = TarBuilder()
        build(&tar)
        let bytes = tar.finished()
        return LayerSource(name: name, isFile: false, diffID: SHA256Digest(of: bytes), compressedSize: nil) {
            PiecewiseSource(bytes)
        }
    }

    private let layers = [
        layer("base") {
            for number in 0..<300 {
                $0.file("directory/file-\(number)", Array(repeating: UInt8(number % 251), count: 70))
            }
        },
        layer("app") { $0.file("app/main", Array(repeating: 7, count: 600_000)) },
    ]

    @discardableResult
    private func push(
        _ layers: [LayerSource]? = nil, as name: String = "acme/image:1", to store: (any ObjectStore)? = nil,
        from origin: ImageManifest.Source = .oci, repair: Bool = false
    ) async throws -> PushReport {
        let reference = try ImageReference(parsing: name)
        var options = PushOptions()
        options.repair = repair
        return try await ImagePusher(
            store: store ?? fixture.base, tenant: try fixture.keyring.keys(for: reference.tenant),
            deployment: try fixture.keyring.requireDeploymentKey(), options: options
        ).push(ImageSource(origin: origin, configuration: nil, layers: layers ?? self.layers), as: reference)
    }

    private func index(_ name: String = "acme/image:1") async throws -> ImageIndex {
        let reference = try ImageReference(parsing: name)
        let keys = try fixture.keyring.keys(for: reference.tenant)
        let record = try #require(try await RefStore(fixture.base).read(reference))
        let image = try await ImageManifest.load(
            record.manifest, from: fixture.base, generation: record.generation, keys: keys)
        return try await ImageIndex.load(
            try #require(image.index), from: fixture.base, generation: record.generation, keys: keys,
            regionSlots: try await fixture.layers(name).map(\.data.count))
    }

    /// The metadata region, out of L3.
    private func metadata(_ name: String = "acme/image:1") async throws -> [UInt8] {
        let index = try await index(name)
        var metadata: [UInt8] = []
        for ref in index.metadata {
            var plain = [UInt8](repeating: 0, count: Int(ref.plainLength))
            if !ref.isZero {
                let key = L3Layout.chunk(ref.id, in: index.generation)
                let sealed = try #require(try await fixture.base.get(key, limit: ChunkLimits.sealedBytes)).body
                try sealed.withUnsafeReadableBytes { sealed in
                    try plain.withUnsafeMutableBytes { try ChunkOpener().open(ref, sealed: sealed, into: $0) }
                }
            }
            metadata += plain
        }
        return metadata
    }

    /// What the writer makes of the same files.
    private func expected() throws -> (writer: ErofsWriter, metadata: [UInt8]) {
        var builder = ImageTreeBuilder(whiteouts: true)
        var slots: [Int] = []
        for layer in layers {
            let splitter = LayerSplitter(try layer.open(), kind: .tar)
            try builder.beginLayer(layer.name)
            var count = 0
            while let chunk = try splitter.next() {
                if chunk.stream == .data { count += 1 }
                guard chunk.stream == .entries else { continue }
                try chunk.bytes.withUnsafeReadableBytes { try builder.append(table: $0) }
            }
            try builder.endLayer()
            slots.append(count)
        }
        let writer = try ErofsWriter(tree: builder.finish(), regionSlots: slots)
        var copy = writer
        var bytes = [UInt8](repeating: 0, count: Int(writer.metadataBytes) + 1)
        let count = bytes.withUnsafeMutableBytes { copy.write(into: $0) }
        return (writer, Array(bytes.prefix(count)))
    }

    @Test func theDeviceIsWhatTheWriterMakes() async throws {
        let report = try await push()
        let index = try await index()
        let (writer, metadata) = try expected()
        #expect(try await self.metadata() == metadata)
        #expect(index.metadataBytes == writer.metadataBytes)
        #expect(index.deviceBytes == writer.deviceBytes)
        #expect(index.extents.map(\.offset) == writer.extents.map(\.offset))
        #expect(index.extents.map(\.length) == writer.extents.map(\.length))
        #expect(index.extents.map(\.layer) == writer.extents.map(\.layer))
        #expect(index.extents.map(\.address) == writer.extents.map(\.address.rawValue))
        let pushed = try #require(report.index)
        #expect(pushed.counts.chunks == index.metadata.count)
        #expect(pushed.deviceBytes == index.deviceBytes)
        // All that reached L3 is in the report.
        #expect(try fixture.files("/chunks/").count == report.newChunks)
        #expect(report.newChunks == report.layers.reduce(0) { $0 + $1.newChunks } + pushed.counts.newChunks)
        #expect(report.logicalBytes == report.layers.reduce(0) { $0 + $1.logicalBytes })
    }

    @Test func theSameLayersHaveTheSameIndex() async throws {
        let first = try #require(try await push().index)
        #expect(!first.wasKnown)
        let again = try await push(as: "acme/other:2")
        #expect(again.index?.wasKnown == true)
        #expect(again.index?.manifest == first.manifest)
        #expect(again.index?.counts.chunks == first.counts.chunks)
        #expect(again.newChunks == 0)
        // Another tenant has another index, and the same chunks.
        let other = try await push(as: "other/image:1")
        #expect(other.index?.wasKnown == false)
        #expect(other.index?.manifest != first.manifest)
        #expect(other.newChunks == 0)
        // The same layers in another order are another image.
        #expect(try await push(Array(layers.reversed()), as: "acme/image:3").index?.wasKnown == false)
        // And so are they without whiteouts.
        #expect(try await push(as: "acme/image:4", from: .directory).index?.wasKnown == false)
    }

    @Test func rawFilesHaveNone() async throws {
        let report = try await fixture.push([PushFixture.file([1, 2, 3])])
        #expect(report.index == nil)
        #expect(report.notes.isEmpty)
    }

    /// The manifest that cannot be read is made again, under its old chunks.
    @Test(arguments: Damage.allCases) func anIndexThatIsDamagedIsMadeAgain(_ damage: Damage) async throws {
        let first = try #require(try await push().index)
        let whole = try await metadata()
        let file = try #require(try fixture.files("/manifests/\(first.manifest)").first)
        try damage.apply(to: file)
        let again = try await push()
        #expect(again.index?.manifest != first.manifest)
        #expect(again.newChunks == 0)
        #expect(try await metadata() == whole)
        #expect(try await push().index?.manifest == again.index?.manifest)
    }

    @Test(arguments: Damage.allCases) func itsChunksAreRepaired(_ damage: Damage) async throws {
        let first = try await push()
        let whole = try await metadata()
        let ref = try #require(try await index().metadata.first { !$0.isZero })
        try damage.apply(to: try #require(try fixture.files(ref.id.hex).first))
        let repaired = try await push(repair: true)
        #expect(repaired.newChunks == 1)
        #expect(repaired.index?.counts.newChunks == 1)
        #expect(repaired.index?.manifest == first.index?.manifest)
        #expect(try await metadata() == whole)
    }

    @Test(arguments: [true, false]) func aPushThatDiesAnywhereIsFinishedByTheNext(_ before: Bool) async throws {
        let whole = try expected().metadata
        for victim in 1... {
            let fresh = try IndexPushTests()
            let calls = NIOLockedValueBox(0)
            let dying = FaultyObjectStore(fresh.fixture.base) { call, name, moment in
                guard (moment == .before) == before else { return }
                let number = calls.withLockedValue { calls in
                    calls += 1
                    return calls
                }
                if number >= victim { throw CacheError(.io, "injected failure of \(call) \(name)") }
            }
            do {
                try await fresh.push(to: dying)
                #expect(victim > 30)
                return
            } catch {
                #expect((error as? CacheError)?.message.hasPrefix("injected") == true)
            }
            try await fresh.push()
            #expect(try await fresh.metadata() == whole, "failure of call \(victim)")
            #expect(try await fresh.push().newChunks == 0)
        }
    }

    /// Too large for a device, and yet an image: the push goes on, and says why it cannot be mounted.
    @Test func whatNoDeviceHoldsIsALimit() async throws {
        var builder = ImageTreeBuilder(whiteouts: true)
        try builder.beginLayer("it")
        let tree = builder.finish()
        let error = await failure { try ErofsWriter.describable(tree: tree, regionSlots: [1 << 26]) }
        #expect(error?.code == .limitExceeded)
    }
}
