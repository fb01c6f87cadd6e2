internal import CacheCore
internal import NIOConcurrencyHelpers
internal import NIOCore
internal import NIOPosix

/// Sealed chunks of a pull that wait to be opened: a thread of the reader's takes one after the other, and the thread
/// that hashes the layers decrypts some on the way (``OpeningHash``), for the others to decompress.
///
/// That thread is one of those that open chunks, so the line takes one less of the reader's. Each chunk is opened for
/// itself: one that is damaged fails its own readers.
final class OpeningLine: Sendable {
    /// A chunk in line, and who waits for its plaintext.
    struct Opening: Sendable {
        let ref: ChunkRef
        let sealed: ByteBuffer
        fileprivate let done: CheckedContinuation<ByteBuffer, any Error>
    }

    private struct State {
        var sealed = CircularBuffer<Opening>()
        /// Those that are to be decompressed, with their texts.
        var decrypted = CircularBuffer<(Opening, text: ByteBuffer)>()
        /// Threads that work on the line, or are about to.
        var threads = 0
    }

    private enum Step {
        case open(Opening)
        case expand(Opening, text: ByteBuffer)
    }

    private let state = NIOLockedValueBox(State())
    private let pool: NIOThreadPool
    private let machine: MachineLoad
    private let buffers: BufferPool
    private let mostThreads: Int
    /// Chunks that a thread opens before others that want it have their turn.
    private static let turn = 16

    init(_ reader: TieredReader) {
        pool = reader.pool
        machine = reader.load.machine
        buffers = reader.buffers
        mostThreads = max(pool.numberOfThreads - 1, 1)
    }

    /// Stands in line, and returns the plaintext in a buffer of the reader's pool.
    /// - Throws: `.corrupt` as ``ChunkOpener`` does; `CancellationError` once the reader is closed.
    func open(_ ref: ChunkRef, _ sealed: ByteBuffer) async throws -> ByteBuffer {
        try await withCheckedThrowingContinuation { done in
            add { $0.sealed.append(Opening(ref: ref, sealed: sealed, done: done)) }
        }
    }

    // MARK: For the thread that hashes

    /// A chunk to be decrypted; `nil` if none waits. It must be given back decrypted, or failed.
    func takeSealed() -> Opening? { state.withLockedValue { $0.sealed.popFirst() } }

    /// Memory for a text.
    func textBuffer() -> ByteBuffer { buffers.take() }

    func give(_ opening: Opening, text: ByteBuffer) {
        if opening.ref.codec == .raw {
            opening.done.resume(returning: text)
        } else {
            add { $0.decrypted.append((opening, text)) }
        }
    }

    func fail(_ opening: Opening, _ error: any Error, text: ByteBuffer) {
        buffers.give(text)
        opening.done.resume(throwing: error)
    }

    // MARK: For the others

    private func add(_ body: (inout State) -> Void) {
        let starts = state.withLockedValue { state in
            body(&state)
            guard state.threads < mostThreads else { return false }
            state.threads += 1
            return true
        }
        if starts { pool.submit { self.work($0) } }
    }

    private func work(_ state: NIOThreadPool.WorkItemState) {
        for _ in 0..<Self.turn {
            guard let step = next() else { return }
            switch step {
            case .open(let opening): opening.done.resume(with: result(state) { try open(opening) })
            case .expand(let opening, let text):
                opening.done.resume(with: result(state) { try expand(opening, text) })
                buffers.give(text)
            }
        }
        pool.submit { self.work($0) }
    }

    private func next() -> Step? {
        state.withLockedValue { state in
            if let (opening, text) = state.decrypted.popFirst() { return .expand(opening, text: text) }
            if let opening = state.sealed.popFirst() { return .open(opening) }
            state.threads -= 1
            return nil
        }
    }

    private func result(
        _ state: NIOThreadPool.WorkItemState, _ body: () throws -> ByteBuffer
    ) -> Result<ByteBuffer, any Error> {
        guard state == .active else { return .failure(CancellationError()) }
        return Result { try machine.measuring(body) }
    }

    private func open(_ opening: Opening) throws -> ByteBuffer {
        try PlainBuffer.open(opening.ref, opening.sealed, from: buffers)
    }

    private func expand(_ opening: Opening, _ text: ByteBuffer) throws -> ByteBuffer {
        try text.withUnsafeReadableBytes { text in
            try PlainBuffer.make(opening.ref, from: buffers) {
                try ChunkOpener.current.expand(opening.ref, text: text, into: $0)
            }
        }
    }
}
