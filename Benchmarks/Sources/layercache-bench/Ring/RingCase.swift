import CacheClient
import CacheCore
import Foundation
import NIOCore
import Synchronization

/// Reads of chunks while something happens to one of five daemons.
func runRing(_ context: Context) async throws -> CaseResult {
    let workspace = context.workspace
    let image = try RingImage(workspace, chunks: workspace.quick ? 128 : 512)
    var result = CaseResult()
    for event in RingEvent.allCases {
        let run = try await image.run(event, seconds: workspace.quick ? 4 : 20)
        result.rows += run.rows()
        result.figures.append(
            .distribution(
                name: "ring-\(event.rawValue.replacing(" ", with: "-"))",
                title: "Reads of 512 KiB, five daemons, \(event.rawValue)", unit: "ms",
                series: [Series("before", cumulative: run.before), Series("while", cumulative: run.meanwhile)]))
    }
    result.method = """
        Five daemons on loopback, all chunks in memory; \(RingImage.readers) readers in one process without L1 and \
        memory read random chunks of 512 KiB of a raw file, one after the other. L3 is a directory that answers after \
        \(RingImage.distance / .milliseconds(1)) ms. After a quarter of the time something happens to one of the \
        daemons: it is stopped (SIGSTOP), has the processor for 5 ms of 50, is killed, is stopped every other second, \
        or a sixth comes. "Settled": from two seconds after that on. Each starts with daemons that have all chunks.
        """
    return result
}

/// A raw file of chunks that no compressor shortens, in L3.
private struct RingImage {
    static let readers = 4
    static let distance = Duration.milliseconds(30)
    private let workspace: Workspace
    private let store: FileObjectStore
    private let keyring: Keyring
    private let reference: ImageReference
    private let chunks: Int

    init(_ workspace: Workspace, chunks: Int) throws {
        self.workspace = workspace
        self.chunks = chunks
        let deployment = try Deployment(workspace)
        let source = workspace.fresh("ring")
        guard FileManager.default.createFile(atPath: source, contents: nil) else { throw BenchError("no \(source)") }
        let file = try FileHandle(forWritingTo: URL(fileURLWithPath: source))
        var generator = SystemRandomNumberGenerator()
        for _ in 0..<chunks {
            let words = (0..<ChunkLimits.plainBytes / 8).map { _ in generator.next() as UInt64 }
            try file.write(contentsOf: words.withUnsafeBytes { Data($0) })
        }
        try file.close()
        let l3 = workspace.fresh("l3")
        _ = try deployment.push("file:\(source)", as: "bench/ring:1", to: l3)
        store = try FileObjectStore(root: l3, create: false)
        keyring = try Keyring(contentsOf: deployment.keyring)
        reference = try ImageReference(parsing: "bench/ring:1")
    }

    private func withImage<R>(
        _ nodes: RingNodes, l3: any ObjectStore, _ body: (LayerCache, CachedImage) async throws -> R
    ) async throws -> R {
        var configuration = CacheConfiguration(l2: [nodes.name], l3: l3)
        configuration.l2Resolver = { _ in nodes.addresses }
        configuration.memoryBytes = 0
        let cache = try await LayerCache.open(configuration)
        do {
            let result = try await body(cache, try await cache.image(reference, keyring: keyring))
            try await cache.close()
            return result
        } catch {
            try await cache.close()
            throw error
        }
    }

    func run(_ event: RingEvent, seconds: Int) async throws -> RingRun {
        let nodes = try RingNodes(workspace, count: 5)
        defer { nodes.end() }
        // Fills that are dropped are made up for by the second pass.
        for _ in 0..<2 {
            try await withImage(nodes, l3: store) { cache, image in
                for chunk in 0..<chunks { try await read(image, chunk) }
                await cache.flush()
            }
        }
        return try await withImage(nodes, l3: DistantStore(base: store, delay: Self.distance)) { cache, image in
            let begin = ContinuousClock.now
            let onset = Double(seconds) / 4
            let happening = Task {
                try await Task.sleep(for: .seconds(onset))
                try await event.happen(to: nodes)
            }
            let samples = try await withThrowingTaskGroup(of: [RingSample].self) { group in
                for _ in 0..<Self.readers {
                    group.addTask { await readers(image, from: begin, seconds: Double(seconds)) }
                }
                return try await group.reduce(into: []) { $0 += $1 }
            }
            happening.cancel()
            try await happening.value
            return RingRun(event: event, onset: onset, samples: samples, ring: cache.l2Statistics)
        }
    }

    private func readers(_ image: CachedImage, from begin: ContinuousClock.Instant, seconds: Double) async
        -> [RingSample]
    {
        var samples: [RingSample] = []
        while true {
            let start = (ContinuousClock.now - begin) / .seconds(1)
            guard start < seconds else { return samples }
            let l3 = image.counts.l3.chunks
            let isRight = (try? await read(image, Int.random(in: 0..<chunks))) != nil
            let end = (ContinuousClock.now - begin) / .seconds(1)
            samples.append(
                RingSample(
                    start: start, milliseconds: (end - start) * 1e3, isRight: isRight,
                    fromL3: image.counts.l3.chunks - l3))
        }
    }

    private func read(_ image: CachedImage, _ chunk: Int) async throws {
        var buffer = ByteBufferAllocator().buffer(capacity: ChunkLimits.plainBytes)
        try await image.layers[0].read(
            at: RegionAddress(slot: UInt64(chunk)), count: ChunkLimits.plainBytes, into: &buffer)
    }
}
