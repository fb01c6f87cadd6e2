import CacheClient
import CacheCore
import CacheServer
import Foundation
import Glibc
import Logging
import NIOCore
import ServiceLifecycle
import TestSupport
import Testing

/// A directory with a keyring and an object store, for one test; removed at the end.
final class ClientFixture: Sendable {
    private let directory: TemporaryDirectory
    let store: FaultyObjectStore
    let keyring: Keyring
    let random: UInt64

    var path: String { directory.path }

    init(seed: UInt64 = .random(in: 0 ... .max)) throws {
        random = seed
        directory = try TemporaryDirectory()
        try Keyring.add(try TenantName(parsing: "acme"), toFile: directory("keys.json"))
        keyring = try Keyring(contentsOf: directory("keys.json"))
        store = FaultyObjectStore(try FileObjectStore(root: directory("l3"), create: true))
    }

    deinit { store.set(.none) }

    func callAsFunction(_ name: String) -> String { directory(name) }

    var reference: ImageReference { get throws { try ImageReference(parsing: "acme/image:1") } }

    /// Bytes that no compressor shortens, the same for the same seed.
    func bytes(_ count: Int) -> [UInt8] {
        var generator = SeededGenerator(seed: random)
        return generator.bytes(count)
    }

    /// Pushes `bytes` as a raw file.
    @discardableResult
    func push(_ bytes: [UInt8], repair: Bool = false) async throws -> PushReport {
        try Data(bytes).write(to: URL(fileURLWithPath: self("source")))
        return try await push(.file(self("source")), repair: repair)
    }

    @discardableResult
    func push(_ source: SourceReference, repair: Bool = false) async throws -> PushReport {
        var options = PushOptions()
        options.repair = repair
        return try await ImagePusher(
            store: store, tenant: try keyring.keys(for: try reference.tenant),
            deployment: try keyring.requireDeploymentKey(),
            options: options
        ).push(try ImageSource.open(source), as: try reference)
    }

    /// Runs `body` with an open cache and closes it. Deadlines that `adjust` does not set never pass.
    @discardableResult
    func withCache<R>(
        l1: String? = nil, l2: [String] = [], memory: Int = 64 << 20,
        time: TimeSource = .system, _ adjust: (inout CacheConfiguration) -> Void = { _ in },
        _ body: (LayerCache) async throws -> R
    ) async throws -> R {
        var configuration = CacheConfiguration(l1Directory: l1, l1Capacity: 64 << 20, l2: l2, l3: store)
        configuration.memoryBytes = memory
        configuration.setNoDeadlines()
        adjust(&configuration)
        let cache = try await LayerCache.open(configuration, logger: .quiet, time: time)
        do {
            let result = try await body(cache)
            try await cache.close()
            return result
        } catch {
            try await cache.close()
            throw error
        }
    }

    /// Runs `body` with the address of an L2 daemon, whose store is the fixture's directory `l2`.
    @discardableResult
    func withDaemon<R>(_ body: (_ url: String) async throws -> R) async throws -> R {
        try await TestServer.run(in: self("l2"), memory: 0, capacity: 256 << 20) { try await body($0.url) }
    }

    func image(_ cache: LayerCache) async throws -> CachedImage {
        try await cache.image(try reference, keyring: keyring)
    }

    /// All bytes of the image's one layer, through `cache`.
    func readAll(_ cache: LayerCache) async throws -> (bytes: [UInt8], counts: ReadCounts) {
        let image = try await image(cache)
        let bytes = try await image.layers[0].collect()
        await cache.flush()
        return (bytes, image.counts)
    }

    /// Expects that the layer is `content`, and tells where it came from.
    @discardableResult
    func expect(_ content: [UInt8], from cache: LayerCache, _ location: SourceLocation = #_sourceLocation) async throws
        -> ReadCounts
    {
        let result = try await readAll(cache)
        #expect(result.bytes == content, sourceLocation: location)
        return result.counts
    }

    /// Flips a bit in each place of a file in `directory` that holds the beginning of a chunk's sealed bytes; how many
    /// were found.
    func damage(_ directory: String, chunks: Int = .max) async throws -> Int {
        let file = "\(directory)/data.mdb"
        var data = try Data(contentsOf: URL(fileURLWithPath: file))
        var found = 0
        for chunk in try sealedChunks().prefix(chunks) {
            guard let range = data.range(of: chunk.prefix(64)) else { continue }
            data[range.lowerBound + 7] ^= 4
            found += 1
        }
        let handle = try FileHandle(forWritingTo: URL(fileURLWithPath: file))
        try handle.write(contentsOf: data)
        try handle.close()
        return found
    }

    /// The files of L3 that hold chunks, in order of their names.
    func chunkFiles() throws -> [String] {
        try FileManager.default.subpathsOfDirectory(atPath: self("l3")).filter {
            $0.contains("/chunks/") && $0.split(separator: "/").last?.count == 64
        }.sorted().map { self("l3/\($0)") }
    }

    func sealedChunks() throws -> [Data] { try chunkFiles().map { try Data(contentsOf: URL(fileURLWithPath: $0)) } }
}

extension CacheConfiguration {
    /// Which tier answers does not depend on how busy the machine is.
    mutating func setNoDeadlines() {
        l1Deadline = .seconds(3600)
        l2Deadline = .seconds(3600)
        l2ConnectTimeout = .seconds(3600)
        l2Patience = .seconds(3600)
        l2Wait = .seconds(3600)
        l3Deadline = .seconds(3600)
        refDeadline = .seconds(3600)
    }
}

extension CachedLayer {
    func collect() async throws -> [UInt8] {
        var all: [UInt8] = []
        for try await piece in bytes { all += piece.readableBytesView }
        return all
    }
}

/// The error that `body` throws, which must be a ``CacheError`` of one line.
func cacheError(_ body: () async throws -> Void) async -> CacheError? {
    do {
        try await body()
        return nil
    } catch {
        guard let error = error as? CacheError, !error.description.contains("\n") else { return nil }
        return error
    }
}
