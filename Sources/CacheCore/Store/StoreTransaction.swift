internal import CLMDB
internal import CacheChunks
internal import CacheCrypto

/// One write transaction on the store: the chunks, their extents, their places in the queues and the totals change
/// together.
struct StoreTransaction: ~Copyable {
    /// Chunks that one eviction may keep before it takes the next one whatever the policy says, so that no commit
    /// stalls.
    private static let maximumKept = 64

    private let environment: Environment
    private let layout: StoreLayout
    private let transaction: WriteTransaction
    private(set) var state: StoreState
    private(set) var evictions = 0

    /// Begins; waits for LMDB's write lock.
    /// - Parameter isSuspect: check all of the index, not only if another program has written to the file.
    init(_ environment: Environment, layout: StoreLayout, isSuspect: Bool = false) throws(LMDBFailure) {
        let transaction = try WriteTransaction(environment)
        try Self.inspect(environment, transaction.number &- 1, layout, isSuspect)
        guard let stored = try transaction.get(.meta, StoreState.key), let state = StoreState(stored) else {
            throw LMDBFailure(code: MDB_CORRUPTED, call: "store state")
        }
        self.environment = environment
        self.layout = layout
        self.transaction = transaction
        self.state = state
    }

    /// Checks what LMDB trusts, with the write lock held: the roots of the index always; all of it if another program
    /// has written to the file since the last commit, or if the files are suspect.
    private static func inspect(
        _ environment: Environment, _ last: Int, _ layout: StoreLayout, _ isSuspect: Bool
    ) throws(LMDBFailure) {
        do throws(LMDBFailure) {
            try inspectRoots(try environment.readableMap(), last)
        } catch {
            // It may be the zeros of a page that could not be read.
            try environment.checkMap()
            throw error
        }
        if !isSuspect {
            guard try environment.watch.isForeign(after: last) else { return }
        }
        let data = try environment.dataDescriptor()
        do {
            try IndexCheck.run(data, layout: layout, mapBytes: environment.mapBytes)
        } catch {
            if error.failure != nil { throw .unreadableMap }
            throw LMDBFailure(
                code: MDB_CORRUPTED, call: isSuspect ? "the index" : "somebody else wrote to data.mdb")
        }
        try environment.watch.note(last)
    }

    private static func inspectRoots(_ map: UnsafeRawBufferPointer, _ last: Int) throws(LMDBFailure) {
        let index = try IndexReader(map, transaction: UInt64(truncatingIfNeeded: last))
        guard let place = try index.find(StoreState.key, in: .meta, map),
            StoreState(try index.value(at: place, map)) != nil
        else { throw IndexReader.damage }
    }

    /// Writes the totals and commits.
    consuming func commit() throws(LMDBFailure) {
        state.commits &+= 1
        let place = try transaction.reserve(.meta, StoreState.key, StoreState.byteCount)
        place.storeBytes(of: state, as: StoreState.self)
        let number = transaction.number
        do throws(LMDBFailure) {
            try transaction.commit()
        } catch {
            // What it has written all the same is nobody else's, and no reason to check the whole index.
            try environment.watch.note(number &- 1)
            throw error
        }
        try environment.watch.note(number)
    }

    func record(_ id: ChunkID) throws(LMDBFailure) -> ChunkRecord? {
        try id.digest.withUnsafeBytes { (key) throws(LMDBFailure) -> ChunkRecord? in
            guard let stored = try transaction.get(.chunks, key) else { return nil }
            guard let record = ChunkRecord(stored, layout: layout) else {
                throw LMDBFailure(code: MDB_CORRUPTED, call: "chunk record")
            }
            return record
        }
    }

    /// Stores a chunk that is not there yet.
    mutating func insert(_ id: ChunkID, _ sealed: UnsafeRawBufferPointer, _ queue: StoreQueue) throws(LMDBFailure) {
        let record = ChunkRecord(sealedLength: sealed.count, queue: queue, number: takeNumber())
        let extentBytes = layout.extentBytes
        let tail = layout.tailBytes(sealed.count)
        for index in 0..<layout.extentCount(sealed.count) {
            let start = index * extentBytes
            let piece = UnsafeRawBufferPointer(rebasing: sealed[start..<min(start + extentBytes, sealed.count)])
            try NumberKey(ExtentKey.number(base: record.base, index: index)).withBytes { (key) throws(LMDBFailure) in
                let place = try transaction.reserve(.extents, key, extentBytes, appending: true)
                place.copyMemory(from: piece)
                // No memory of this process goes to disk as padding.
                place[piece.count...].initializeMemory(as: UInt8.self, repeating: 0)
            }
        }
        try id.digest.withUnsafeBytes { (key) throws(LMDBFailure) in
            let place = try transaction.reserve(.chunks, key, ChunkRecord.byteCount + tail)
            record.write(to: place)
            UnsafeMutableRawBufferPointer(rebasing: place[ChunkRecord.byteCount...])
                .copyMemory(from: UnsafeRawBufferPointer(rebasing: sealed[(sealed.count - tail)...]))
        }
        try enqueue(id, record)
        state.add(layout.diskBytes(sealed.count), to: queue)
        state.sealedBytes &+= UInt64(sealed.count)
    }

    /// Takes a chunk out; whether it was there.
    @discardableResult
    mutating func remove(_ id: ChunkID) throws(LMDBFailure) -> Bool {
        guard let record = try record(id) else { return false }
        try dequeue(record)
        try remove(id, record)
        return true
    }

    private mutating func remove(_ id: ChunkID, _ record: ChunkRecord) throws(LMDBFailure) {
        let length = Int(record.sealedLength)
        for index in 0..<layout.extentCount(length) {
            try transaction.deleteExtent(ExtentKey.number(base: record.base, index: index), layout: layout)
        }
        try id.digest.withUnsafeBytes { (key) throws(LMDBFailure) in _ = try transaction.delete(.chunks, key) }
        state.subtract(layout.diskBytes(length), from: record.queue)
        state.sealedBytes = state.sealedBytes > UInt64(length) ? state.sealedBytes - UInt64(length) : 0
    }

    /// Gives up one chunk for `arrival`, as `policy` chooses; false if the store is empty.
    mutating func evictOne(
        _ policy: inout S3FIFO, _ frequencies: FrequencyTable, for arrival: inout Arrival
    ) throws(LMDBFailure) -> Bool {
        var kept = 0
        while true {
            let chosen = policy.examine(occupancy, for: arrival)
            let other: StoreQueue = chosen == .small ? .main : .small
            var queue = chosen
            var oldest = try transaction.oldest(chosen)
            if oldest == nil {
                queue = other
                oldest = try transaction.oldest(other)
            }
            guard let (sequence, id) = oldest else { return false }
            try NumberKey(sequence).withBytes { (key) throws(LMDBFailure) in
                _ = try transaction.delete(Table(queue), key)
            }
            guard var record = try record(id), record.sequence == sequence else { continue }
            let reads = frequencies.take(id)
            policy.note(id, reads: reads, occupancy)
            let frequency = min(record.frequency &+ reads, S3FIFO.maximumFrequency)
            let verdict = policy.judge(id, in: queue, frequency: frequency, for: &arrival)
            if case .keep(let target, let left) = verdict, kept < Self.maximumKept {
                kept += 1
                let bytes = layout.diskBytes(Int(record.sealedLength))
                state.subtract(bytes, from: record.queue)
                state.add(bytes, to: target)
                record.queue = target
                record.frequency = left
                record.sequence = takeNumber()
                try update(id, record)
                try enqueue(id, record)
                continue
            }
            try remove(id, record)
            evictions += 1
            return true
        }
    }

    /// Adds reads that were counted in memory to the chunk's record, and tells `policy`; whether that changed it.
    @discardableResult
    mutating func fold(
        _ id: ChunkID, _ frequencies: FrequencyTable, _ policy: inout S3FIFO
    ) throws(LMDBFailure) -> Bool {
        guard var record = try record(id) else { return false }
        let reads = frequencies.take(id)
        policy.note(id, reads: reads, occupancy)
        let sum = min(record.frequency &+ reads, S3FIFO.maximumFrequency)
        guard sum != record.frequency else { return false }
        record.frequency = sum
        try update(id, record)
        return true
    }

    var occupancy: QueueOccupancy {
        QueueOccupancy(smallBytes: state.smallBytes, mainBytes: state.mainBytes, chunks: state.chunks)
    }

    private mutating func takeNumber() -> UInt64 {
        defer { state.nextNumber &+= 1 }
        return state.nextNumber
    }

    /// Rewrites a record in place; its tail stays as it is.
    private func update(_ id: ChunkID, _ record: ChunkRecord) throws(LMDBFailure) {
        let tail = layout.tailBytes(Int(record.sealedLength))
        try id.digest.withUnsafeBytes { (key) throws(LMDBFailure) in
            guard let stored = try transaction.get(.chunks, key), stored.count == ChunkRecord.byteCount + tail else {
                throw LMDBFailure(code: MDB_CORRUPTED, call: "chunk record")
            }
            // LMDB moves the page when it is first changed, so the tail is carried over by value.
            let size = stored.count
            try withUnsafeTemporaryAllocation(byteCount: size, alignment: 8) { (copy) throws(LMDBFailure) in
                copy.copyMemory(from: stored)
                record.write(to: copy)
                try transaction.reserve(.chunks, key, size).copyMemory(from: UnsafeRawBufferPointer(copy))
            }
        }
    }

    private func enqueue(_ id: ChunkID, _ record: ChunkRecord) throws(LMDBFailure) {
        try NumberKey(record.sequence).withBytes { (key) throws(LMDBFailure) in
            let place = try transaction.reserve(Table(record.queue), key, SHA256Digest.byteCount, appending: true)
            id.digest.withUnsafeBytes { place.copyMemory(from: $0) }
        }
    }

    private func dequeue(_ record: ChunkRecord) throws(LMDBFailure) {
        try NumberKey(record.sequence).withBytes { (key) throws(LMDBFailure) in
            _ = try transaction.delete(Table(record.queue), key)
        }
    }
}

extension StoreTransaction {
    /// Writes the state of an empty store.
    static func createState(_ environment: Environment, _ layout: StoreLayout) throws(LMDBFailure) {
        let transaction = try WriteTransaction(environment)
        let place = try transaction.reserve(.meta, StoreState.key, StoreState.byteCount)
        place.storeBytes(of: StoreState(layout: layout), as: StoreState.self)
        try transaction.commit()
    }
}
