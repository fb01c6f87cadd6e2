internal import CacheCore
internal import NIOConcurrencyHelpers
internal import NIOCore

/// A chunk that a device wants of L1 before anybody asks for it.
struct ChunkAhead: Sendable {
    fileprivate let place: DeviceMap.Place
    fileprivate let request: ChunkRequest
    fileprivate weak let device: DeviceAhead?
}

/// Reads ahead of the sequential streams of one device.
final class DeviceAhead: Sendable {
    private struct State {
        var streams: SequentialStreams
        var running: [UInt64: Task<Void, Never>] = [:]
        var nextNumber: UInt64 = 0
        var isClosed = false
    }

    private let chunks: DeviceChunks
    private let share: DeviceShare
    private let state: NIOLockedValueBox<State>

    init(_ chunks: DeviceChunks, _ share: DeviceShare) {
        self.chunks = chunks
        self.share = share
        state = NIOLockedValueBox(
            State(
                streams: SequentialStreams(
                    end: chunks.map.byteCount, chunkBytes: ChunkLimits.plainBytes, maximumWindow: share.window)))
    }

    deinit { close() }

    /// A reader has come to that place. Never suspends.
    /// - Returns: how it wants its chunks: a long stream reads each of them once, and takes nobody's place in memory.
    @discardableResult
    func saw(_ offset: UInt64, _ count: Int) -> ChunkUse {
        let map = chunks.map
        let (ahead, left) = state.withLockedValue { state in
            let ahead = state.streams.read(at: offset, count: count) { map.endsContents(slot: $0) }
            return (ahead, state.streams.leftBehind(at: offset))
        }
        for slot in left ?? 0..<0 { forget(slot) }
        if let ahead { fetch(ahead) }
        return left == nil ? .kept : .passing
    }

    /// What has landed for a stream that has gone on.
    private func forget(_ slot: UInt64) {
        var stretch = chunks.map.firstStretch(at: slot * Self.slotBytes)
        let end = min((slot + 1) * Self.slotBytes, chunks.map.byteCount)
        guard case .chunk(let place, _, _) = chunks.map.piece(at: slot * Self.slotBytes, upTo: end, from: &stretch)
        else { return }
        share.landed.remove(chunks.map.ref(place))
    }

    private func fetch(_ ahead: SequentialStreams.Ahead) {
        let map = chunks.map
        var position = ahead.range.lowerBound
        var stretch = map.firstStretch(at: position)
        var started = 0
        var crossings = ahead.crossings
        /// Whether what follows on a place of a chunk is still to be expected.
        func mayPass(_ slot: UInt64) -> Bool {
            guard map.endsContents(slot: slot) else { return true }
            crossings -= 1
            return crossings >= 0
        }
        var slot = position / Self.slotBytes
        var goesOn = slot == 0 || mayPass(slot - 1)
        while goesOn, position < ahead.range.upperBound {
            let piece = map.piece(at: position, upTo: ahead.range.upperBound, from: &stretch)
            if case .chunk(let place, _, _) = piece, !chunks.isNear(place) {
                // Many small extents may each lie in a chunk of their own.
                guard started < share.window, start(place, position < ahead.long ? .kept : .passing) else { break }
                started += 1
            }
            position += UInt64(piece.count)
            while goesOn, slot < position / Self.slotBytes {
                goesOn = mayPass(slot)
                slot += 1
            }
        }
        if position < ahead.range.upperBound {
            state.withLockedValue { [position] in $0.streams.stopped(ahead, at: position) }
        }
    }

    private static let slotBytes = UInt64(ChunkLimits.plainBytes)

    /// Whether it can be done now.
    private func start(_ place: DeviceMap.Place, _ use: ChunkUse) -> Bool {
        let request = chunks.request(place, use: use, isAhead: true)
        return share.line?.take(ChunkAhead(place: place, request: request, device: self)) ?? false || fetch(request)
    }

    /// Whether a chunk is to be read still.
    private func isWanted(_ place: DeviceMap.Place) -> Bool {
        !state.withLockedValue { $0.isClosed } && !chunks.isNear(place)
    }

    /// What was read of L1; what it had not, other tiers may have.
    private func landed(_ request: ChunkRequest, _ bytes: ByteBuffer?) {
        if let bytes {
            share.landed.add(request.ref, bytes)
        } else {
            _ = fetch(request)
        }
    }

    /// Reads one chunk from L1, or two, of which each may be another device's. Blocks: what L1 has is opened on the
    /// thread that reads it.
    static func read(_ first: ChunkAhead, _ second: ChunkAhead?, _ reader: TieredReader) {
        let reads = [first, second].compactMap { read -> (device: DeviceAhead, request: ChunkRequest)? in
            guard let read, let device = read.device, device.isWanted(read.place) else { return nil }
            return (device, read.request)
        }
        guard let one = reads.first else { return }
        guard reads.count == 2, reads[1].request.key != one.request.key else {
            return one.device.landed(one.request, reader.fromL1AtOnce(one.request))
        }
        reader.fromL1AtOnce(one.request, reads[1].request) { request, bytes in
            (request.key == one.request.key ? one.device : reads[1].device).landed(request, bytes)
        }
    }

    /// Through all tiers.
    private func fetch(_ request: ChunkRequest) -> Bool {
        guard share.ahead.acquireNow() else { return false }
        state.withLockedValue { state in
            guard !state.isClosed else { return share.ahead.release() }
            let number = state.nextNumber
            state.nextNumber += 1
            state.running[number] = Task { [weak self, chunks, share] in
                defer {
                    share.ahead.release()
                    _ = self?.state.withLockedValue { $0.running.removeValue(forKey: number) }
                }
                // What fails here, a reader that comes to it finds out for itself.
                guard let bytes = try? await chunks.reader.chunk(request) else { return }
                share.landed.add(request.ref, bytes)
            }
        }
        return true
    }

    /// Gives up what is on its way.
    func close() {
        let running = state.withLockedValue { state in
            state.isClosed = true
            return Array(state.running.values)
        }
        for task in running { task.cancel() }
    }
}
