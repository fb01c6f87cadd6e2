import CacheCore
import Foundation
import Logging
import NIOCore

/// The sample's chunks, sealed by us; with each salt they are other chunks.
struct SealedSample {
    let refs: [ChunkRef]
    let chunks: [ByteBuffer]

    init(_ sample: ChunkSample, salt: SHA256Digest = .zero) {
        let sealer = ChunkSealer(salt: GenerationSalt(salt), compression: .standard)
        let output = UnsafeMutableRawBufferPointer.allocate(byteCount: ChunkSample.chunkBytes, alignment: 64)
        defer { output.deallocate() }
        var refs: [ChunkRef] = []
        var chunks: [ByteBuffer] = []
        for number in 0..<sample.count {
            let ref = sealer.seal(sample[number], into: output)
            refs.append(ref)
            chunks.append(ByteBuffer(bytes: UnsafeRawBufferPointer(rebasing: output[..<Int(ref.sealedLength)])))
        }
        self.refs = refs
        self.chunks = chunks
    }
}

func runL1Get(_ context: Context) async throws -> CaseResult {
    let sample = try context.sample()
    let sealed = SealedSample(sample)
    let store = try ChunkStore.open(
        try context.workspace.freshDirectory("l1-get"), options: .init(capacity: 1 << 30), logger: .quiet)
    for (ref, chunk) in zip(sealed.refs, sealed.chunks) { _ = try await store.put(ref.id, chunk) }
    let duel = try measureL1Get(context, sample, sealed, store)
    await store.close()
    return CaseResult(
        rows: [
            .compared(
                "l1-get", "verified and opened, time a chunk", duel.ourMicroseconds, "µs",
                to: "SHA-256 + AES-CTR + zstd, bare", duel.theirMicroseconds, target: .atMost(1.25)),
            .compared(
                "l1-get", "p99", duel.ours.percentile(0.99) * 1e6, "µs", to: "SHA-256 + AES-CTR + zstd, bare",
                duel.theirs.percentile(0.99) * 1e6),
            .plain(
                "l1-get", "plaintext, one core", Double(ChunkSample.chunkBytes) / duel.ourMicroseconds / 1e3, "GB/s"),
        ],
        figures: [
            duel.figure("l1-get", "L1 hit: a 512 KiB chunk from LMDB, verified and opened", "L1 hit", "bare calls")
        ],
        method:
            "\(sample.count) chunks in LMDB (in the page cache), one thread; the bare calls work on the same "
            + "plaintext, sealed by bare calls, in memory."
    )
}

private func measureL1Get(
    _ context: Context, _ sample: ChunkSample, _ sealed: SealedSample, _ store: ChunkStore
) throws -> Duel {
    let bare = BareChunks(sample)
    let opener = ChunkOpener()
    let output = UnsafeMutableRawBufferPointer.allocate(byteCount: ChunkSample.chunkBytes, alignment: 64)
    defer { output.deallocate() }
    return try Duel(
        rounds: context.rounds, count: sample.count,
        ours: { number in
            let ref = sealed.refs[number]
            guard let count = try store.readUnverified(ref.id, touch: true, into: opener.intake) else {
                throw BenchError("L1 lost chunk \(ref.id)")
            }
            try opener.open(ref, sealed: UnsafeRawBufferPointer(rebasing: opener.intake[..<count]), into: output)
        }, theirs: { try bare.open($0) })
}

/// Writes ten times what the store may hold, and watches how fast it takes it.
func runL1Churn(_ context: Context) async throws -> CaseResult {
    let capacity = context.workspace.quick ? 64 << 20 : 1 << 30
    let sealed = SealedSample(try context.sample())
    let store = try ChunkStore.open(
        try context.workspace.freshDirectory("l1-churn"), options: .init(capacity: UInt64(capacity)), logger: .quiet)
    let log = try await churn(store, sealed.chunks, bytes: 10 * capacity, flight: 16)
    let statistics = store.statistics
    await store.close()
    guard statistics.evictions > 0, let last = log.last else { throw BenchError("the store never had to evict") }

    // How fast a fresh store fills depends on what the disk is doing: the fastest of three is the one to be measured
    // by.
    var fills = [rate(log.filter { $0.written <= capacity * 8 / 10 })]
    for _ in 0..<2 {
        let fresh = try ChunkStore.open(
            try context.workspace.freshDirectory("l1-churn"), options: .init(capacity: UInt64(capacity)), logger: .quiet
        )
        fills.append(rate(try await churn(fresh, sealed.chunks, bytes: capacity * 8 / 10, flight: 16)))
        await fresh.close()
    }
    let fill = fills.max() ?? 0
    let steadyPuts = log.filter { $0.written > capacity * 8 }
    let steady = rate(steadyPuts)
    let worst = (log.filter { $0.written > capacity }.map(\.took).max() ?? 0) * 1e3
    let width = last.at / 120
    let bins = Dictionary(grouping: log) { min(Int($0.at / width), 119) }
    let points = bins.keys.sorted().map { bin in
        (x: (Double(bin) + 0.5) * width, y: Double((bins[bin] ?? []).reduce(0) { $0 + $1.bytes }) / width / 1e6)
    }
    let full = log.first { $0.written >= capacity }?.at ?? 0
    return CaseResult(
        rows: [
            .compared(
                "l1-churn", "steady replacement, 8 to 10 times the capacity written", steady, "MB/s",
                to: "fresh fill, fastest of 3",
                fill,
                target: .atLeast(0.6)),
            .plain("l1-churn", "longest put once it is full", worst, "ms", target: .atMost(100)),
            .plain(
                "l1-churn", "p99 of a put in steady replacement", steadyPuts.map(\.took).percentile(0.99) * 1e3, "ms"),
            .plain("l1-churn", "longest commit", Double(statistics.maximumCommitNanoseconds) / 1e6, "ms"),
        ],
        figures: [
            .timeline(
                name: "l1-churn", title: "L1 writes, up to ten times its capacity", unit: "MB/s",
                series: [Series("written", points)], mark: (full, "capacity reached")),
            .distribution(
                name: "l1-churn-puts", title: "How long a put waits for its commit", unit: "ms",
                series: [
                    Series(
                        "fresh fill", cumulative: log.filter { $0.written <= capacity * 8 / 10 }.map { $0.took * 1e3 }),
                    Series("steady replacement", cumulative: steadyPuts.map { $0.took * 1e3 }),
                ]),
        ],
        method:
            "Capacity \(capacity >> 20) MiB, \(10 * capacity >> 20) MiB of sealed chunks written with 16 puts in "
            + "flight, all new. Until it is full the store also pays for the growth of its file."
    )
}

private func rate(_ puts: [Put]) -> Double {
    guard let first = puts.first, let last = puts.last, last.at > first.at else { return 0 }
    return Double(last.written - first.written) / (last.at - first.at) / 1e6
}

private func churn(_ store: ChunkStore, _ chunks: [ByteBuffer], bytes: Int, flight: Int) async throws -> [Put] {
    let log = ChurnLog(limit: bytes)
    try await withThrowingTaskGroup(of: Void.self) { group in
        for _ in 0..<flight {
            group.addTask {
                while let turn = log.next() {
                    let chunk = chunks[turn % chunks.count]
                    let id = ChunkID.random()
                    let start = ContinuousClock.now
                    _ = try await store.put(id, chunk)
                    log.done(from: start, bytes: chunk.readableBytes)
                }
            }
        }
        try await group.waitForAll()
    }
    return log.puts
}

extension ChunkID {
    /// A name that nothing has: the store does not look at what it is told to keep.
    static func random() -> ChunkID {
        let words = (0..<4).map { _ in UInt64.random(in: .min ... .max) }
        return words.withUnsafeBytes { ChunkID(SHA256Digest(bytes: $0) ?? .zero) }
    }
}

extension Logger {
    static var quiet: Logger {
        var logger = Logger(label: "layercache-bench") { StreamLogHandler.standardError(label: $0) }
        logger.logLevel = .error
        return logger
    }
}
