import CacheCore
import Foundation
import NIOCore

/// A store on the disk whose file is not in the page cache.
private struct ColdStore {
    private let directory: String
    private let capacity: UInt64 = 1 << 30
    let sealed: SealedSample

    var path: String { "\(directory)/data.mdb" }
    var longest: Int { sealed.chunks.map(\.readableBytes).max() ?? 0 }
    var bytes: Int { sealed.chunks.reduce(0) { $0 + $1.readableBytes } }

    init(_ directory: String, _ sealed: SealedSample) async throws {
        self.directory = directory
        self.sealed = sealed
        try await using { store in
            for (ref, chunk) in zip(sealed.refs, sealed.chunks) { _ = try await store.put(ref.id, chunk) }
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

    /// Opens the store, takes its file out of the page cache, index and all, and has `body` read every chunk once.
    func cold(_ body: (ChunkStore) throws -> Void) async throws {
        try await using { store in
            let file = open(path, O_RDONLY | O_CLOEXEC)
            guard file >= 0 else { throw BenchError("cannot read \(path): errno \(errno)") }
            defer { close(file) }
            fsync(file)
            posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED)
            let before = try Self.bytesFromDevice()
            try body(store)
            let read = try Self.bytesFromDevice() - before
            guard read >= bytes / 10 * 9 else {
                throw BenchError(
                    "\(path) was still in the page cache: \(read) of \(bytes) bytes came from a device; "
                        + "give --scratch a directory on a disk")
            }
        }
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

/// What one thread reads chunks with.
private struct Reader {
    let file: DirectFile
    let opener = ChunkOpener()
    let output = UnsafeMutableRawBufferPointer.allocate(byteCount: ChunkSample.chunkBytes, alignment: 64)

    /// As L1 does.
    func open(_ ref: ChunkRef, in store: ChunkStore) throws {
        let found: Void? = try store.withSealedPieces(ref.id, touch: true) {
            try opener.open(ref, pieces: $0, into: output)
        }
        guard found != nil else { throw BenchError("the store lost chunk \(ref.id)") }
    }

    /// What L1 does if the device's part were one read past the page cache.
    func openBare(_ ref: ChunkRef, _ sealed: ByteBuffer) throws {
        try file.readAnywhere(Int(ref.sealedLength))
        try sealed.withUnsafeReadableBytes { try opener.open(ref, sealed: $0, into: output) }
    }

    /// As L2's daemon does.
    func read(_ ref: ChunkRef, in store: ChunkStore) throws {
        guard try store.read(ref.id) != nil else { throw BenchError("the store lost chunk \(ref.id)") }
    }
}

/// Seconds of each read, and MB/s of each round in which many were under way.
private struct Samples {
    var one: [Double] = []
    var many: [Double] = []

    mutating func add(_ readers: [Reader], _ store: ColdStore, _ read: @escaping @Sendable (Reader, Int) throws -> Void)
        throws
    {
        let count = store.sealed.refs.count
        let order = (0..<count).shuffled()
        one += try order.map { number in try seconds { try read(readers[0], number) }.0 }
    }

    mutating func addTogether(
        _ readers: [Reader], _ store: ColdStore, _ read: @escaping @Sendable (Reader, Int) throws -> Void
    ) throws {
        let order = (0..<store.sealed.refs.count).shuffled()
        let took = try load(readers, total: order.count) { try read($0, order[$1]) }.seconds
        many.append(Double(store.bytes) / took / 1e6)
    }
}

private let flight = 16

/// Reads chunks that are on the disk only, one at a time and many at once.
func runL1Cold(_ context: Context) async throws -> CaseResult {
    let store = try await ColdStore(
        try context.workspace.freshDirectory("l1-cold"), SealedSample(try context.sample()))
    let readers = try (0..<flight).map { _ in Reader(file: try DirectFile(store.path, longest: store.longest)) }
    defer { readers.forEach { $0.output.deallocate() } }
    let sealed = store.sealed
    let direct: @Sendable (Reader, Int) throws -> Void = {
        try $0.file.readAnywhere(Int(sealed.refs[$1].sealedLength))
    }
    let directOpened: @Sendable (Reader, Int) throws -> Void = {
        try $0.openBare(sealed.refs[$1], sealed.chunks[$1])
    }
    var (checked, opened, bare, bareOpened) = (Samples(), Samples(), Samples(), Samples())
    for _ in 0..<context.rounds {
        try await store.cold { cold in try checked.add(readers, store) { try $0.read(sealed.refs[$1], in: cold) } }
        try bare.add(readers, store, direct)
        try await store.cold { cold in try opened.add(readers, store) { try $0.open(sealed.refs[$1], in: cold) } }
        try bareOpened.add(readers, store, directOpened)
        try await store.cold { cold in
            try checked.addTogether(readers, store) { try $0.read(sealed.refs[$1], in: cold) }
        }
        try bare.addTogether(readers, store, direct)
        try await store.cold { cold in
            try opened.addTogether(readers, store) { try $0.open(sealed.refs[$1], in: cold) }
        }
        try bareOpened.addTogether(readers, store, directOpened)
    }
    let mean = (store.bytes / sealed.refs.count) >> 10
    return CaseResult(
        rows: rows("sealed bytes, checked", checked, to: "O_DIRECT read of its size", bare)
            + rows("verified and opened", opened, to: "O_DIRECT read, then opened", bareOpened),
        figures: [
            .distribution(
                name: "l1-cold", title: "A chunk that is on the disk only", unit: "µs",
                series: [
                    Series("opened", cumulative: opened.one.map { $0 * 1e6 }),
                    Series("checked", cumulative: checked.one.map { $0 * 1e6 }),
                    Series("O_DIRECT read", cumulative: bare.one.map { $0 * 1e6 }),
                ])
        ],
        method:
            "\(sealed.refs.count) chunks, \(mean) KiB sealed on average, in random order; checked is what a read from "
            + "L2's store is, opened one from L1. Before each round the data file is taken out of the page cache, "
            + "index and all, and /proc/self/io shows that a device was read. The yardstick reads as many bytes in "
            + "one call from random places of the same file, past the page cache, into memory that is there already. "
            + "Rates are of sealed bytes."
    )
}

private func rows(_ what: String, _ ours: Samples, to yardstick: String, _ bare: Samples) -> [Row] {
    [
        .compared(
            "l1-cold", "\(what), p50", ours.one.median * 1e6, "µs", to: yardstick, bare.one.median * 1e6,
            target: .atMost(2)),
        .compared(
            "l1-cold", "\(what), p99", ours.one.percentile(0.99) * 1e6, "µs", to: yardstick,
            bare.one.percentile(0.99) * 1e6),
        .compared(
            "l1-cold", "\(what), \(flight) at once", ours.many.median, "MB/s", to: "\(yardstick), \(flight) at once",
            bare.many.median, target: .atLeast(0.9)),
    ]
}
