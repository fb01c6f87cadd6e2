import CacheCore
import NIOCore

/// Runs two ways of doing the same to each chunk in turns, and keeps the seconds of every call.
struct Duel {
    private(set) var ours: [Double] = []
    private(set) var theirs: [Double] = []
    private(set) var ourRounds: [Double] = []
    private(set) var theirRounds: [Double] = []

    /// `rounds` rounds of all `count` chunks: ours, then theirs, then the other way round.
    init(rounds: Int, count: Int, ours: (Int) throws -> Void, theirs: (Int) throws -> Void) throws {
        for round in 0..<rounds {
            if round % 2 == 0 { try run(count, ours, &self.ours, &ourRounds) }
            try run(count, theirs, &self.theirs, &theirRounds)
            if round % 2 == 1 { try run(count, ours, &self.ours, &ourRounds) }
        }
    }

    private func run(
        _ count: Int, _ body: (Int) throws -> Void, _ samples: inout [Double], _ rounds: inout [Double]
    ) throws {
        var total = 0.0
        for number in 0..<count {
            let (time, _) = try seconds { try body(number) }
            samples.append(time)
            total += time
        }
        rounds.append(total / Double(count))
    }

    /// Median over the rounds of the mean microseconds a chunk.
    var ourMicroseconds: Double { ourRounds.median * 1e6 }
    var theirMicroseconds: Double { theirRounds.median * 1e6 }

    func figure(_ name: String, _ title: String, _ first: String, _ second: String) -> Figure {
        .distribution(
            name: name, title: title, unit: "µs",
            series: [
                Series(first, cumulative: ours.map { $0 * 1e6 }), Series(second, cumulative: theirs.map { $0 * 1e6 }),
            ])
    }
}

/// What the libraries reach on this core; nothing of ours but SHA-256's name in the first row.
func runPrimitives(_ context: Context) throws -> CaseResult {
    let sample = try context.sample()
    let bare = BareChunks(sample)
    let codec = BareCodec()
    let output = UnsafeMutableRawBufferPointer.allocate(byteCount: BareCodec.compressBound, alignment: 64)
    defer { output.deallocate() }
    func gigabytesPerSecond(_ body: (UnsafeRawBufferPointer) -> Void) -> Double {
        let times = (0..<context.rounds).map { _ in
            seconds { for number in 0..<sample.count { body(sample[number]) } }.0
        }
        return sample.byteCount / times.median / 1e9
    }
    let ours = gigabytesPerSecond { _ = ChunkID(ofSealed: $0) }
    let bareHash = gigabytesPerSecond { codec.hash($0) }
    let encrypt = gigabytesPerSecond { codec.encrypt($0, to: output) }
    let compress = gigabytesPerSecond { _ = codec.compress($0, to: output) }
    let open = (0..<context.rounds).map { _ in seconds { for number in 0..<sample.count { try? bare.open(number) } }.0 }
    return CaseResult(
        rows: [
            .compared("primitives", "SHA-256 (ChunkID)", ours, "GB/s", to: "OpenSSL bare", bareHash),
            .plain("primitives", "AES-256-CTR, bare", encrypt, "GB/s"),
            .plain("primitives", "zstd, bare", compress, "GB/s"),
            .plain("primitives", "SHA-256 + AES + zstd back, bare", sample.byteCount / open.median / 1e9, "GB/s"),
        ],
        figures: [
            .bars(
                name: "primitives", title: "Primitives on one core, 512 KiB chunks of the image", unit: "GB/s",
                bars: [
                    Bar("SHA-256", bareHash), Bar("AES-256-CTR", encrypt), Bar("zstd", compress),
                    Bar("hash + decrypt + zstd -d", sample.byteCount / open.median / 1e9),
                ])
        ],
        method:
            "\(sample.count) chunks of 512 KiB of the image's layers, one thread, median of \(context.rounds) rounds, "
            + "bytes of plaintext."
    )
}

func runSeal(_ context: Context) throws -> CaseResult {
    let sample = try context.sample()
    let bare = BareChunks(sample)
    let sealer = ChunkSealer(salt: GenerationSalt(.zero), compression: .standard)
    let output = UnsafeMutableRawBufferPointer.allocate(byteCount: ChunkSample.chunkBytes, alignment: 64)
    defer { output.deallocate() }
    let duel = try Duel(
        rounds: context.rounds, count: sample.count, ours: { _ = sealer.seal(sample[$0], into: output) },
        theirs: { bare.seal(sample[$0]) })
    return CaseResult(
        rows: [
            .compared(
                "seal", "time a chunk", duel.ourMicroseconds, "µs", to: "the same bytes, bare calls",
                duel.theirMicroseconds),
            .plain("seal", "plaintext, one core", Double(ChunkSample.chunkBytes) / duel.ourMicroseconds / 1e3, "GB/s"),
        ],
        figures: [duel.figure("seal", "Sealing a 512 KiB chunk", "ChunkSealer", "bare calls")],
        method: "zstd with the same settings, SHA-256, HMAC, AES-256-CTR, SHA-256 of the same chunks; "
            + "ours and bare in turns.")
}

func runOpen(_ context: Context) throws -> CaseResult {
    let sample = try context.sample()
    let bare = BareChunks(sample)
    let sealed = SealedSample(sample)
    let opener = ChunkOpener()
    let output = UnsafeMutableRawBufferPointer.allocate(byteCount: ChunkSample.chunkBytes, alignment: 64)
    defer { output.deallocate() }
    let duel = try Duel(
        rounds: context.rounds, count: sample.count,
        ours: { number in
            try sealed.chunks[number].withUnsafeReadableBytes {
                try opener.open(sealed.refs[number], sealed: $0, into: output)
            }
        }, theirs: { try bare.open($0) })
    return CaseResult(
        rows: [
            .compared(
                "open", "time a chunk", duel.ourMicroseconds, "µs", to: "the same bytes, bare calls",
                duel.theirMicroseconds),
            .plain("open", "plaintext, one core", Double(ChunkSample.chunkBytes) / duel.ourMicroseconds / 1e3, "GB/s"),
        ],
        figures: [duel.figure("open", "Opening a sealed 512 KiB chunk from memory", "ChunkOpener", "bare calls")],
        method: "SHA-256, AES-256-CTR and zstd of sealed chunks in memory; ours and bare in turns.")
}
