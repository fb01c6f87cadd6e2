internal import CacheCore
public import NIOCore
internal import Synchronization

/// An image as a device: its index's metadata, its layers' data as it is stored, and zeros. What it has not got yet, it
/// brings through all tiers as it is read.
///
/// Beside the cache's decoded chunks, all devices of a cache together take 16 MiB for reads under way, one and a
/// quarter times the cache's read-ahead for chunks ahead of sequential readers, and twice that read-ahead at most for
/// what is fetched before anybody asks for it. Close it when it is no longer used.
public final class ImageDevice: BlockDevice {
    private let chunks: DeviceChunks
    private let ahead: DeviceAhead
    private let share: DeviceShare
    private let touches: ChunkTouches
    private let run: DeviceRun
    private let hasBegun = Atomic<Bool>(false)
    private let askedReads = Atomic<Int>(0)
    private let askedBytes = Atomic<Int>(0)

    /// The most bytes of one read: 64 MiB.
    public static let maximumReadBytes = 64 << 20
    /// What ``read(at:into:)`` copies at a time.
    private static let copiedBytes = 2 << 20

    init(_ chunks: DeviceChunks, _ share: DeviceShare, _ touches: ChunkTouches, _ run: DeviceRun) {
        self.chunks = chunks
        self.share = share
        self.touches = touches
        self.run = run
        ahead = DeviceAhead(chunks, share)
        run.start()
    }

    public var byteCount: UInt64 { chunks.map.byteCount }

    /// What was asked of it so far, and where that came from.
    public var statistics: DeviceStatistics {
        let counts = chunks.counter.counts
        let prefetched = touches.prefetched
        return DeviceStatistics(
            asked: .init(reads: askedReads.load(ordering: .relaxed), bytes: askedBytes.load(ordering: .relaxed)),
            tiers: .init(memory: counts.memory, l1: counts.l1, l2: counts.l2, l3: counts.l3),
            prefetch: .init(chunks: prefetched.chunks, used: prefetched.used),
            repaired: .init(l1: counts.repairedL1, l2: counts.repairedL2),
            ring: chunks.reader.lower.l2?.statistics)
    }

    /// Waits until all that is to be fetched before anybody asks for it was, as far as the tiers gave it.
    public func prefetched() async { await run.prepared() }

    /// Gives up what is fetched ahead, and keeps the trace of this run: 5 s at most for L3, then L1's deadline.
    ///
    /// Reads that are under way, and later ones, go on as ever, as long as the cache is open. A task that was cancelled
    /// may close it as well.
    public func close() async {
        ahead.close()
        // In a task of its own, which nobody cancels.
        await Task { await run.close() }.value
    }

    // MARK: Reading

    public func cached(at offset: UInt64, count: Int, reach: DeviceReach) throws -> [ByteBuffer]? {
        try check(offset, count)
        // Other cores open what follows while this one opens what is asked for.
        let use = reach == .disk ? ahead.saw(offset, count) : .kept
        guard let buffers = atOnce(offset, count, reach, use) else { return nil }
        asked(count)
        if reach == .memory { ahead.saw(offset, count) }
        return buffers
    }

    public func read(at offset: UInt64, count: Int) async throws -> [ByteBuffer] {
        try check(offset, count)
        asked(count)
        let use = ahead.saw(offset, count)
        if let buffers = atOnce(offset, count, .memory, use) { return buffers }
        let pieces = chunks.map.pieces(at: offset, count: count)
        let places = Self.places(of: pieces)
        return try await share.reads.withPermit(weight: places.count * ChunkLimits.plainBytes) {
            try await fetch(pieces, places, use)
        }
    }

    /// As ``read(at:count:)``, of any length, into memory of the caller, such as a page that a request answers with.
    /// Copies each byte once.
    ///
    /// - Parameter memory: must stay valid, and must not be used otherwise, until this returns or throws. If it throws,
    ///   its content is undefined.
    nonisolated(nonsending) public func read(
        at offset: UInt64, into memory: UnsafeMutableRawBufferPointer
    ) async throws {
        try check(offset, memory.count, isBounded: false)
        var position = 0
        while position < memory.count {
            let count = min(memory.count - position, Self.copiedBytes)
            for buffer in try await read(at: offset + UInt64(position), count: count) {
                buffer.withUnsafeReadableBytes {
                    UnsafeMutableRawBufferPointer(rebasing: memory[position...]).copyMemory(from: $0)
                }
                position += buffer.readableBytes
            }
        }
    }

    public func extent(at offset: UInt64) -> DeviceExtent { chunks.map.extent(at: offset) }

    private func check(_ offset: UInt64, _ count: Int, isBounded: Bool = true) throws(CacheError) {
        guard count >= 0, offset <= byteCount, UInt64(count) <= byteCount - offset else {
            throw CacheError(
                .invalidInput, "a read of \(count) bytes at \(offset) leaves the device of \(byteCount) bytes")
        }
        guard !isBounded || count <= Self.maximumReadBytes else {
            throw CacheError(
                .limitExceeded, "a read of \(count) bytes is too large: read at most \(Self.maximumReadBytes) at once")
        }
    }

    private func asked(_ count: Int) {
        askedReads.add(1, ordering: .relaxed)
        askedBytes.add(count, ordering: .relaxed)
    }

    /// Takes note that a reader wants something of a chunk.
    private func touch(_ place: DeviceMap.Place) {
        touches.touch(chunks.map.number(of: place))
        // The kernel reads metadata when it mounts; a program begins with contents.
        guard place.region < chunks.map.regions.count - 1, !hasBegun.load(ordering: .relaxed) else { return }
        if !hasBegun.exchange(true, ordering: .relaxed) { run.begin() }
    }

    // MARK: At once

    private func atOnce(
        _ offset: UInt64, _ count: Int, _ reach: DeviceReach, _ use: ChunkUse
    ) -> [ByteBuffer]? {
        var buffers: [ByteBuffer] = []
        var position = offset
        let end = offset + UInt64(count)
        var stretch = chunks.map.firstStretch(at: offset)
        var inMemory = 0
        while position < end {
            let piece = chunks.map.piece(at: position, upTo: end, from: &stretch)
            switch piece {
            case .zeros(let count): Self.appendZeros(count, to: &buffers)
            case .chunk(let place, let offset, let count):
                touch(place)
                let bytes: ByteBuffer
                if let found = chunks.inMemory(place) {
                    bytes = found
                    inMemory += 1
                } else if reach == .disk, let found = chunks.fromL1AtOnce(place, use) {
                    bytes = found
                } else {
                    return nil
                }
                guard let slice = bytes.getSlice(at: bytes.readerIndex + offset, length: count) else { return nil }
                buffers.append(slice)
            }
            position += UInt64(piece.count)
        }
        if inMemory > 0 { chunks.counter.delivered(by: .memory, chunks: inMemory, bytes: count) }
        return buffers
    }

    private static func appendZeros(_ count: Int, to buffers: inout [ByteBuffer]) {
        var left = count
        while left > 0 {
            let length = min(left, ChunkLimits.plainBytes)
            if let zeros = ZeroBuffer.shared.getSlice(at: 0, length: length) { buffers.append(zeros) }
            left -= length
        }
    }

    // MARK: Through the tiers

    /// The chunks of the pieces, each once if they follow one another.
    private static func places(of pieces: [DeviceMap.Piece]) -> [DeviceMap.Place] {
        var places: [DeviceMap.Place] = []
        for case .chunk(let place, _, _) in pieces where places.last != place { places.append(place) }
        return places
    }

    /// Fetches the chunks in parallel, and makes the answer of them.
    private func fetch(
        _ pieces: [DeviceMap.Piece], _ places: [DeviceMap.Place], _ use: ChunkUse
    ) async throws -> [ByteBuffer] {
        // One chunk is awaited where it is asked for, without a task of its own.
        var fetches =
            places.count > 1
            ? OrderedFetch(count: places.count, ahead: share.window) { [self] number in
                try await chunk(places[number], use)
            } : nil
        // Slices would keep many chunks in memory for little of each.
        let copies = places.count > 4 && pieces.reduce(0) { $0 + $1.count } < places.count * ChunkLimits.plainBytes / 4
        var last: (place: DeviceMap.Place, bytes: ByteBuffer)?
        var buffers: [ByteBuffer] = []
        for piece in pieces {
            guard case .chunk(let place, let offset, let count) = piece else {
                Self.appendZeros(piece.count, to: &buffers)
                continue
            }
            let bytes: ByteBuffer
            if let last, last.place == place {
                bytes = last.bytes
            } else {
                if let fetched = try await fetches?.next() {
                    bytes = fetched
                } else {
                    bytes = try await chunk(place, use)
                }
                last = (place, bytes)
            }
            guard let slice = bytes.getSlice(at: bytes.readerIndex + offset, length: count) else {
                throw CacheError(.corrupt, "chunk \(chunks.map.ref(place).id) is shorter than its manifest says")
            }
            buffers.append(copies ? ByteBuffer(bytes: slice.readableBytesView) : slice)
        }
        return buffers
    }

    private func chunk(_ place: DeviceMap.Place, _ use: ChunkUse) async throws -> ByteBuffer {
        touch(place)
        if let bytes = chunks.inMemory(place) {
            chunks.counter.delivered(by: .memory, chunks: 1, bytes: bytes.readableBytes)
            return bytes
        }
        return try await chunks.chunk(place, use)
    }
}
