import CacheCore
import Foundation
import NIOCore

/// A store on the disk, whose file is not in the page cache when it is opened.
///
/// It holds the sample many times over, each time sealed with another salt: what is read again and again, some virtual
/// disks keep in the memory of their host.
private final class ColdStore {
    private let directory: String
    private let capacity: UInt64 = 2 << 30
    private var turn = 0
    private var sets: [[ChunkRef]] = []
    let longest: Int

    var path: String { "\(directory)/data.mdb" }

    init(_ directory: String, _ sample: ChunkSample, copies: Int) async throws {
        self.directory = directory
        longest = ChunkSample.chunkBytes
        try await using { store in
            for number in 0..<copies {
                let salt = withUnsafeBytes(of: number) { SHA256Digest(hashing: $0) }
                let sealed = SealedSample(sample, salt: salt)
                for (ref, chunk) in zip(sealed.refs, sealed.chunks) {
                    guard store.tryPut(ref.id, chunk) else { throw BenchError("the store's queue is full") }
                }
                try await store.flush()
                sets.append(sealed.refs)
            }
        }
    }

    private func using(_ body: (ChunkStore) async throws -> Void) async throws {
        let store = try ChunkStore.open(directory, options: .init(capacity: capacity), logger: .quiet)
        do {
            try await body(store)
        } catch {
            await store.close()
            throw error
        }
        await store.close()
    }

    /// Takes the file out of the page cache, opens the store, which reads its index, and has `body` read chunks that
    /// were not read for long: the sample, `copies` times.
    ///
    /// - Parameter isBeside: whether it reads as many bytes past the page cache.
    func cold(
        copies: Int = 1, isBeside: Bool = false, _ body: (ChunkStore, [ChunkRef]) throws -> Void
    ) async throws {
        let refs = (turn..<turn + copies).flatMap { sets[$0 % sets.count] }.shuffled()
        turn += copies
        try forget()
        try await using { store in
            let before = try Self.bytesFromDevice()
            try body(store, refs)
            let read = try Self.bytesFromDevice() - before
            let asked = refs.byteCount * (isBeside ? 2 : 1)
            guard read >= asked / 10 * 9 else {
                throw BenchError(
                    "\(path) was still in the page cache: \(read) of \(asked) bytes came from a device; "
                        + "give --scratch a directory on a disk")
            }
        }
    }

    /// Where in the file, from 0 to 1, the chunks lie whose turn is next: for a yardstick, so that what it reads was
    /// not read for as long either.
    func nextPart(copies: Int = 1) -> Range<Double> {
        let first = min(turn % sets.count, sets.count - copies)
        turn += copies
        return Double(first) / Double(sets.count)..<Double(first + copies) / Double(sets.count)
    }

    private func forget() throws {
        let file = open(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { throw BenchError("cannot read \(path): errno \(errno)") }
        defer { close(file) }
        fsync(file)
        posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED)
    }

    /// Bytes that this process has had read by devices.
    private static func bytesFromDevice() throws -> Int {
        let text = try String(contentsOfFile: "/proc/self/io", encoding: .utf8)
        let line = text.split(separator: "\n").first { $0.hasPrefix("read_bytes: ") }
        guard let count = line?.split(separator: " ").last.flatMap({ Int($0) }) else {
            throw BenchError("/proc/self/io does not say what was read")
        }
        return count
    }
}

extension [ChunkRef] {
    /// Of the sealed chunks.
    fileprivate var byteCount: Int { reduce(0) { $0 + Int($1.sealedLength) } }
}

/// What one thread reads chunks with.
private struct Reader {
    let file: DirectFile
    let opener = ChunkOpener()
    let output = UnsafeMutableRawBufferPointer.allocate(byteCount: ChunkSample.chunkBytes, alignment: 64)

    /// As L1 does.
    func open(_ ref: ChunkRef, in store: ChunkStore) throws {
        guard let count = try store.readUnverified(ref.id, touch: true, into: opener.intake) else {
            throw BenchError("the store lost chunk \(ref.id)")
        }
        try opener.open(ref, sealed: UnsafeRawBufferPointer(rebasing: opener.intake[..<count]), into: output)
    }

    /// What L1 does if the device's part were one read past the page cache.
    func openBare(_ ref: ChunkRef, _ sealed: ByteBuffer, within part: Range<Double>) throws {
        try file.readAnywhere(Int(ref.sealedLength), within: part)
        try sealed.withUnsafeReadableBytes { try opener.open(ref, sealed: $0, into: output) }
    }

    /// As L2's daemon does: who asked for a chunk checks it.
    func read(_ ref: ChunkRef, in store: ChunkStore) throws {
        guard try store.readUnverified(ref.id, touch: true, into: opener.intake) != nil else {
            throw BenchError("the store lost chunk \(ref.id)")
        }
    }
}

/// Seconds of each read, and MB/s of each round in which many were under way.
private struct Samples {
    var one: [Double] = []
    var many: [Double] = []

    typealias Read = @Sendable (_ reader: Reader, _ number: Int) throws -> Void

    /// One of ours, one of the yardstick's, and so on: a disk is not the same from one second to the next.
    static func addInTurns(
        _ ours: inout Samples, _ bare: inout Samples, _ reader: Reader, count: Int, _ read: Read, beside direct: Read
    ) throws {
        for number in 0..<count {
            ours.one.append(try seconds { try read(reader, number) }.0)
            bare.one.append(try seconds { try direct(reader, number) }.0)
        }
    }

    mutating func addTogether(_ readers: [Reader], _ refs: [ChunkRef], _ read: @escaping Read) throws {
        many.append(Double(refs.byteCount) / (try load(readers, total: refs.count, read).seconds) / 1e6)
    }
}

private let flight = 16

/// Reads chunks that are on the disk only, one at a time and many at once.
func runL1Cold(_ context: Context) async throws -> CaseResult {
    let sample = try context.sample()
    let store = try await ColdStore(
        try context.workspace.freshDirectory("l1-cold"), sample, copies: context.workspace.quick ? 4 : 21)
    let readers = try (0..<flight).map { _ in Reader(file: try DirectFile(store.path, longest: store.longest)) }
    defer { readers.forEach { $0.output.deallocate() } }
    let inMemory = SealedSample(sample)
    // Long enough that the beginning and the end of a round, when fewer are under way, do not count.
    let copies = 4
    let many = (0..<copies).flatMap { _ in inMemory.refs }
    let direct = { (part: Range<Double>) -> Samples.Read in
        { try $0.file.readAnywhere(Int(many[$1].sealedLength), within: part) }
    }
    let directOpened = { (part: Range<Double>) -> Samples.Read in
        { try $0.openBare(many[$1], inMemory.chunks[$1 % inMemory.chunks.count], within: part) }
    }
    var (sealed, again, opened) = (Samples(), Samples(), Samples())
    var (bare, bareOpened) = (Samples(), Samples())
    for _ in 0..<context.rounds {
        try await store.cold(isBeside: true) { cold, refs in
            try Samples.addInTurns(
                &sealed, &bare, readers[0], count: refs.count, { try $0.read(refs[$1], in: cold) },
                beside: direct(store.nextPart()))
            try Samples.addInTurns(
                &again, &bare, readers[0], count: refs.count, { try $0.read(refs[$1], in: cold) },
                beside: direct(store.nextPart()))
        }
        try await store.cold(isBeside: true) { cold, refs in
            try Samples.addInTurns(
                &opened, &bareOpened, readers[0], count: refs.count, { try $0.open(refs[$1], in: cold) },
                beside: directOpened(store.nextPart()))
        }
        try await store.cold(copies: copies) { cold, refs in
            try sealed.addTogether(readers, refs) { try $0.read(refs[$1], in: cold) }
            try again.addTogether(readers, refs) { try $0.read(refs[$1], in: cold) }
        }
        try bare.addTogether(readers, many, direct(store.nextPart(copies: copies)))
        try await store.cold(copies: copies) { cold, refs in
            try opened.addTogether(readers, refs) { try $0.open(refs[$1], in: cold) }
        }
        try bareOpened.addTogether(readers, many, directOpened(store.nextPart(copies: copies)))
    }
    let mean = (inMemory.refs.byteCount / sample.count) >> 10
    return CaseResult(
        rows: rows("sealed bytes", sealed, to: "O_DIRECT read of its size", bare, hasTarget: true)
            + rows("sealed bytes, asked for again", again, to: "O_DIRECT read of its size", bare)
            + rows("verified and opened", opened, to: "O_DIRECT read, then opened", bareOpened),
        figures: [
            .distribution(
                name: "l1-cold", title: "A chunk that is on the disk only", unit: "µs",
                series: [
                    Series("opened", cumulative: opened.one.map { $0 * 1e6 }),
                    Series("sealed", cumulative: sealed.one.map { $0 * 1e6 }),
                    Series("O_DIRECT read", cumulative: bare.one.map { $0 * 1e6 }),
                ])
        ],
        method:
            "\(sample.count) chunks a round, \(mean) KiB sealed on average, in random order; sealed bytes are "
            + "what a read from L2's store is, opened one from L1. What is asked for again was not kept the "
            + "first time, and is now; some of it came with its neighbours then. Before each round the data file "
            + "is taken out of the page cache; the store reads its index when it is opened, and /proc/self/io "
            + "shows that the chunks came from a device. The yardstick reads as many bytes in one call from "
            + "random places of a part of the same file that was not read for as long, past the page cache, into "
            + "memory that is there already; where one is read at a time, in turns with ours. Rates are of "
            + "sealed bytes. How fast it is depends on how many places its memory is in for the device; ours is "
            + "in one."
    )
}

/// - Parameter hasTarget: the device is the limit, not the processors.
private func rows(
    _ what: String, _ ours: Samples, to yardstick: String, _ bare: Samples, hasTarget: Bool = false
) -> [Row] {
    [
        .compared(
            "l1-cold", "\(what), p50", ours.one.median * 1e6, "µs", to: yardstick, bare.one.median * 1e6,
            target: hasTarget ? .atMost(2) : nil),
        .compared(
            "l1-cold", "\(what), p99", ours.one.percentile(0.99) * 1e6, "µs", to: yardstick,
            bare.one.percentile(0.99) * 1e6),
        .compared(
            "l1-cold", "\(what), \(flight) at once", ours.many.median, "MB/s", to: "\(yardstick), \(flight) at once",
            bare.many.median, target: hasTarget ? .atLeast(0.9) : nil),
    ]
}
