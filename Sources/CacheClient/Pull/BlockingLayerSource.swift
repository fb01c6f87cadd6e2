internal import CacheCore
internal import Dispatch
internal import NIOConcurrencyHelpers
internal import NIOCore

/// A layer's bytes for a thread that may block: a task fetches and assembles ahead of it, bounded by bytes.
final class BlockingLayerSource: ByteSource {
    private let layer: CachedLayer
    private let queue: PieceQueue
    private let depth: ReadAheadDepth
    /// Cancelling it lets a thread that waits in `read` go, with `CancellationError`.
    let producer: Task<Void, Never>
    private var current = ByteBuffer()

    /// - Parameters:
    ///   - aheadBytes: pieces that wait to be read.
    ///   - aheadChunks: chunks under way until ``hurry()``.
    init(_ layer: CachedLayer, aheadBytes: Int, aheadChunks: Int) {
        self.layer = layer
        let depth = ReadAheadDepth(min(aheadChunks, layer.readAhead))
        self.depth = depth
        let queue = PieceQueue(bytes: aheadBytes)
        self.queue = queue
        producer = Task {
            do {
                for try await piece in LayerBytes(layer: layer, use: .recycled, depth: depth) {
                    try await queue.send(piece)
                }
                queue.finish(nil)
            } catch {
                queue.finish(error)
            }
        }
    }

    /// It is this layer's turn: as many chunks are under way from now on as the layer's reader may have.
    func hurry() { depth.set(layer.readAhead) }

    deinit { producer.cancel() }

    func read(into buffer: UnsafeMutableRawBufferPointer) throws -> Int {
        while current.readableBytes == 0 {
            guard let next = try queue.receive() else { return 0 }
            current = next
        }
        let count = min(buffer.count, current.readableBytes)
        current.readWithUnsafeReadableBytes { bytes in
            buffer.copyMemory(from: UnsafeRawBufferPointer(rebasing: bytes[..<count]))
            return count
        }
        if current.readableBytes == 0 { giveBack() }
        return count
    }

    /// Hands over the pieces as they come, without a copy.
    func drain(_ body: (UnsafeRawBufferPointer) throws -> Void) throws -> Int {
        var total = 0
        while true {
            if current.readableBytes > 0 {
                try current.withUnsafeReadableBytes(body)
                total += current.readableBytes
                giveBack()
            }
            guard let next = try queue.receive() else { return total }
            current = next
        }
    }

    private func giveBack() {
        let piece = current
        current = ByteBuffer()
        layer.recycle(piece)
    }
}

/// Buffers on their way from a task to a thread.
private final class PieceQueue: Sendable {
    private struct State {
        var pieces = CircularBuffer<ByteBuffer>()
        var end: Result<Void, any Error>?
    }

    private let state = NIOLockedValueBox(State())
    private let space: AsyncLimiter
    private let available = DispatchSemaphore(value: 0)

    init(bytes: Int) {
        space = AsyncLimiter("pieces of a layer", capacity: bytes, maximumWaiters: 1)
    }

    /// Waits, without a thread, until there is room for the memory that the piece holds on to.
    func send(_ piece: ByteBuffer) async throws {
        try await space.acquire(weight: piece.storageCapacity)
        state.withLockedValue { $0.pieces.append(piece) }
        available.signal()
    }

    func finish(_ error: (any Error)?) {
        state.withLockedValue { $0.end = error.map { .failure($0) } ?? .success(()) }
        available.signal()
    }

    /// The next piece, or `nil` at the end. Blocks the calling thread.
    func receive() throws -> ByteBuffer? {
        available.wait()
        let piece: ByteBuffer? = try state.withLockedValue { state in
            if let piece = state.pieces.popFirst() { return piece }
            // The end stays: a later read gets the same answer.
            available.signal()
            try state.end?.get()
            return nil
        }
        if let piece { space.release(weight: piece.storageCapacity) }
        return piece
    }
}
