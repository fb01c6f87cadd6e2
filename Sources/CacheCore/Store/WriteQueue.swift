internal import CacheBase
internal import CacheChunks
internal import NIOConcurrencyHelpers
internal import NIOCore

/// The bounded queue in front of the writer's thread: requests in order of arrival, taken in groups.
///
/// It keeps what the thread has taken until that is answered. LMDB can hold the thread for good (``AssertionTrap``);
/// another thread then finds here everything that still waits for an answer.
final class WriteQueue: Sendable {
    private struct State {
        var waiting = CircularBuffer<QueuedWrite>()
        var bytes = 0
        /// Whether the thread is emptying the queue, so that it need not be woken.
        var isDraining = false
        var isClosed = false
        /// Chunks that wait to be dropped, so that each is counted once.
        var dropping: Set<ChunkID> = []
        /// Closes the files: run by the writer's thread after all that waits, or by another thread if LMDB holds that
        /// one.
        var closing: (@Sendable () -> Void)?
        /// Taken by the thread and not answered yet.
        var underWay: ArraySlice<QueuedWrite> = []
    }

    /// What became of the claim to drop a chunk.
    enum DropClaim {
        /// The caller must queue the drop, or give the claim up.
        case granted
        /// Another caller drops the chunk already.
        case held
        /// Too many drops are waiting: this one is not done.
        case refused
    }

    private static let maximumGroupCount = 2048
    private static let maximumDrops = 4096

    private let path: String
    private let maximumBytes: Int
    private let state = NIOLockedValueBox(State())

    /// - Parameters:
    ///   - path: the store's directory, for errors.
    ///   - maximumBytes: sealed bytes that may wait.
    init(path: String, maximumBytes: Int) {
        self.path = path
        self.maximumBytes = maximumBytes
    }

    /// Sealed bytes that wait to be taken.
    var bytes: Int { state.withLockedValue { $0.bytes } }

    /// Appends `write`; whether the thread must be woken for it.
    /// - Throws: `.overloaded` if the queue is full, ``StoreSession/Broken`` after ``close(_:)``.
    func append(_ write: QueuedWrite) throws -> Bool {
        let bytes = write.bytes
        return try state.withLockedValue { state in
            // The reason is known: the store was closed, or broke before.
            if state.isClosed { throw StoreSession.Broken() }
            if bytes > 0, state.bytes + bytes > maximumBytes {
                throw CacheError(.overloaded, "the write queue of the chunk store \(path) is full")
            }
            state.bytes += bytes
            state.waiting.append(write)
            defer { state.isDraining = true }
            return !state.isDraining
        }
    }

    /// Takes the oldest requests, up to `limit` sealed bytes but at least one; `nil` if none waits.
    func takeGroup(_ limit: Int) -> [QueuedWrite]? {
        state.withLockedValue { state in
            var group: [QueuedWrite] = []
            var bytes = 0
            while let next = state.waiting.first, group.count < Self.maximumGroupCount {
                if bytes > 0, bytes + next.bytes > limit { break }
                bytes += next.bytes
                group.append(state.waiting.removeFirst())
            }
            state.bytes -= bytes
            state.isDraining = !group.isEmpty
            return group.isEmpty ? nil : group
        }
    }

    /// Notes what the thread has taken and not answered; empty once it has answered all.
    func setUnderWay(_ writes: ArraySlice<QueuedWrite>) {
        state.withLockedValue { $0.underWay = writes }
    }

    /// Takes everything that has no answer yet, and what closes the files if that was asked for.
    func abandon() -> (unanswered: [QueuedWrite], closing: (@Sendable () -> Void)?) {
        state.withLockedValue { state in
            defer {
                state.underWay = []
                state.waiting.removeAll()
                state.bytes = 0
            }
            return (Array(state.underWay) + Array(state.waiting), state.closing.take())
        }
    }

    // MARK: Drops

    /// Claims the drop of a chunk, so that one caller counts and queues it.
    func claimDrop(of id: ChunkID) -> DropClaim {
        state.withLockedValue { state in
            guard !state.dropping.contains(id) else { return .held }
            guard state.dropping.count < Self.maximumDrops else { return .refused }
            state.dropping.insert(id)
            return .granted
        }
    }

    func isDropping(_ id: ChunkID) -> Bool {
        state.withLockedValue { !$0.dropping.isEmpty && $0.dropping.contains(id) }
    }

    /// Ends a claim: the chunk is dropped, or is not to be.
    func endDrop(of id: ChunkID) {
        _ = state.withLockedValue { $0.dropping.remove(id) }
    }

    // MARK: Closing

    /// Refuses requests from now on and keeps `body`, which closes the files; false if the queue is closed already.
    func close(_ body: @escaping @Sendable () -> Void) -> Bool {
        state.withLockedValue { state in
            if state.isClosed { return false }
            state.isClosed = true
            state.closing = body
            return true
        }
    }

    /// What closes the files, for the one who runs it; `nil` if another thread has taken it.
    func takeClosing() -> (@Sendable () -> Void)? {
        state.withLockedValue { $0.closing.take() }
    }
}
