internal import CLMDB
internal import CacheBase
internal import CacheFiles

extension ChunkStore {
    /// What the store in `directory` holds: its chunks, bytes and capacity; the other numbers are of a process that has
    /// it open.
    ///
    /// Makes, changes and empties nothing, whatever state the store is in, and others may use it meanwhile. Blocks as
    /// ``open(_:options:logger:)``.
    /// - Parameter isGivenUp: whether the wait for a process that is opening the store, 30 s at most, is to end now.
    /// - Throws: `.missing` if there is no store, `.corrupt` if it is damaged, `.conflict` if this process has it open,
    ///   `.timedOut`.
    public static func look(
        at directory: String, unless isGivenUp: () -> Bool = { false }
    ) throws -> ChunkStoreStatistics {
        try StoreDirectory.looking(at: directory, unless: isGivenUp) { data, inUse, agreed in
            let (state, bytes) = try inUse ? liveState(directory, data, agreed) : restingState(directory, data)
            var statistics = ChunkStoreStatistics()
            statistics.capacity = max(agreed, bytes)
            statistics.chunks = state.chunks
            statistics.bytesUsed = state.usedBytes
            statistics.sealedBytes = state.sealedBytes
            return statistics
        }
    }

    /// For a file that no process changes, so that it can be read as it is: without LMDB, which trusts it and may
    /// write.
    private static func restingState(_ directory: String, _ data: OpenFile) throws -> (StoreState, bytes: UInt64) {
        do {
            let state = try IndexCheck.run(data.descriptor, layout: .standard, mapBytes: StoreBudget.maximumCapacity)
            return (state, try PageFile(descriptor: data.descriptor).length())
        } catch {
            if error.isNewer { throw CacheError.newerStore(directory, error) }
            if let failure = error.failure { throw CacheError.unreadableStore(directory, error, failure) }
            throw CacheError(
                .corrupt, "chunk store \(directory) is damaged (\(error.reason)): it starts empty when it is used next")
        }
    }

    /// The totals of a store that is in use: read with LMDB, since its first user has checked the file.
    private static func liveState(
        _ directory: String, _ data: OpenFile, _ agreed: UInt64
    ) throws -> (StoreState, bytes: UInt64) {
        do {
            let bytes = try PageFile(descriptor: data.descriptor).length()
            let capacity = min(
                max(agreed, bytes + StoreBudget.sideFileBytes, StoreBudget.minimumCapacity), StoreBudget.maximumCapacity
            )
            let environment = try Environment(
                directory: directory, mapBytes: try StoreBudget(capacity: capacity).mapBytes, creating: false)
            defer { environment.close() }
            let transaction = try ReadTransaction(environment)
            defer { transaction.close() }
            guard let value = try transaction.get(.meta, StoreState.key), let state = StoreState(value)
            else {
                throw CacheError(.unsupported, "chunk store \(directory) is in use by another version: ask that one")
            }
            return (state, bytes)
        } catch let error as CacheError {
            throw error
        } catch {
            throw CacheError(.io, "look at the chunk store \(directory)", cause: error)
        }
    }
}
