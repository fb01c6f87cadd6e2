internal import CLMDB
internal import CacheBase
internal import CacheChunks
internal import CacheFiles
internal import Logging
internal import NIOConcurrencyHelpers
internal import NIOCore
internal import NIOPosix
internal import Synchronization

/// The one thread that writes: it takes what waits in a bounded queue, in order, and commits it in groups.
final class StoreWriter: Sendable {
    enum Work {
        case put(ChunkID, ByteBuffer, CheckedContinuation<PutOutcome, any Error>?)
        case drop(ChunkID)
        case flush(CheckedContinuation<Void, any Error>)

        var bytes: Int {
            if case .put(_, let sealed, _) = self { sealed.readableBytes } else { 0 }
        }
    }

    private struct Queue {
        var work = CircularBuffer<Work>()
        var bytes = 0
        var draining = false
        var closed = false
        /// Chunks that wait to be dropped, so that each is counted once.
        var dropping: Set<ChunkID> = []
        /// What closes the files: done by the thread after all that waits, or by another one if LMDB keeps this one.
        var closing: (@Sendable () -> Void)?
        /// What the thread has taken and not answered yet: who waits for it is answered by another thread if LMDB keeps this one.
        var underWay: ArraySlice<Work> = []
    }

    /// Eviction is part of a commit; a store that must give up many small chunks does it in several.
    /// With pauses of 2, 4 and 8 ms before the last three.
    private static let triesOnFullMap = 5
    private static let maximumEvictions = 1024
    private static let maximumGroupCount = 2048
    private static let evictionsOnFullDisk = 8
    private static let maximumDrops = 4096
    /// Groups that a disk with room refuses one after the other before the files count as broken.
    private static let failuresThatBreak = 8
    /// Reads folded into records in one commit; each costs a page.
    private static let foldedPerCommit = 64
    /// Above this a group was too large for the disk; half of it is enough to grow again.
    private static let slowCommitNanoseconds: UInt64 = 60_000_000
    private static let smallestGroupBytes = ChunkLimits.sealedBytes
    /// Until it is known how fast the disk is.
    private static let firstGroupBytes = 2 << 20

    let counters: StoreCounters
    private let directory: StoreDirectory
    private let environment: Environment
    private let mapped: MappedPages
    private let layout: StoreLayout
    private let budget: StoreBudget
    private let queueLimit: Int
    private let frequencies: FrequencyTable
    private let touched: TouchedChunks
    private let logger: Logger
    private let thread = NIOThreadPool(numberOfThreads: 1)
    private let queue = NIOLockedValueBox(Queue())
    /// Held by the writer's thread for one group at a time; nobody else wants it.
    private let policy: NIOLockedValueBox<S3FIFO>
    private let groupBytes: Synchronization.Atomic<Int>
    private let brokenFlag = Synchronization.Atomic<Bool>(false)
    private let isFailing = Synchronization.Atomic<Bool>(false)
    private let onBreak = NIOLockedValueBox<(@Sendable (String) -> Void)?>(nil)
    /// What the disk said about its room when writing began to fail; 0 if it has room.
    private let spaceError = Synchronization.Atomic<Int32>(0)
    private let failuresInARow = Synchronization.Atomic<Int>(0)

    init(
        directory: StoreDirectory, environment: Environment, mapped: MappedPages, layout: StoreLayout,
        budget: StoreBudget, queueLimit: Int,
        frequencies: FrequencyTable, touched: TouchedChunks, counters: StoreCounters, logger: Logger
    ) {
        self.directory = directory
        self.environment = environment
        self.mapped = mapped
        self.layout = layout
        self.budget = budget
        self.queueLimit = queueLimit
        self.frequencies = frequencies
        self.touched = touched
        self.counters = counters
        self.logger = logger
        groupBytes = Synchronization.Atomic(min(budget.groupBytes, Self.firstGroupBytes))
        // Room for as many as the store holds if chunks are 64 KiB, within 8 MiB of memory.
        policy = NIOLockedValueBox(S3FIFO(ghosts: min(Int(budget.capacity >> 16), 1 << 20)))
        thread.start()
        environment.trap.whenSprung { [weak self] reason in
            self?.breakDown(reason)
            self?.abandonThread()
        }
    }

    /// Has `body` called once when LMDB's files turn out to be broken, at once if they are.
    func whenBroken(_ body: @escaping @Sendable (String) -> Void) {
        onBreak.withLockedValue { $0 = body }
        if isBroken, let body = onBreak.withLockedValue({ $0.take() }) { body("broken when it was opened") }
    }

    var isBroken: Bool { brokenFlag.load(ordering: .acquiring) }

    var queuedBytes: Int { queue.withLockedValue { $0.bytes } }

    /// Appends `work`; throws `.overloaded` if the queue is full and `.closed` after `close`.
    func submit(_ work: Work) throws {
        if isBroken { throw StoreSession.Broken() }
        let bytes = work.bytes
        let wake = try queue.withLockedValue { queue in
            // Broken, or closed: whoever closed it has said so before.
            if queue.closed { throw StoreSession.Broken() }
            if bytes > 0, queue.bytes + bytes > queueLimit {
                throw CacheError(.overloaded, "the write queue of the chunk store \(directory.path) is full")
            }
            queue.bytes += bytes
            queue.work.append(work)
            defer { queue.draining = true }
            return !queue.draining
        }
        if wake { thread.submit { _ in self.drain() } }
    }

    /// Appends the dropping of a damaged chunk, and counts it.
    ///
    /// - Parameter isHere: looks once more, when no other can have it dropped: since it was read it may have gone.
    /// - Returns: false if it is on its way out already, and counted, or gone.
    func drop(_ id: ChunkID, if isHere: () throws -> Bool) rethrows -> Bool {
        let (isFirst, hasRoom) = queue.withLockedValue { queue -> (Bool, Bool) in
            guard !queue.dropping.contains(id) else { return (false, false) }
            guard queue.dropping.count < Self.maximumDrops else { return (true, false) }
            queue.dropping.insert(id)
            return (true, true)
        }
        guard hasRoom else { return isFirst }
        var isDropped = false
        defer { if !isDropped { _ = queue.withLockedValue { $0.dropping.remove(id) } } }
        guard try isHere() else { return false }
        isDropped = true
        counters.corruptDropped.count()
        // A store that is closed or out of order has nothing left to drop from.
        try? submit(.drop(id))
        return true
    }

    /// Commits what waits, keeps the reads that were counted, closes the environment. The first call does it, others return.
    func close(_ reads: ReadPool, _ done: @escaping @Sendable () -> Void) {
        let first = queue.withLockedValue { queue in
            if queue.closed { return false }
            queue.closed = true
            queue.closing = {
                self.directory.closing {
                    reads.close()
                    self.environment.close()
                }
                done()
            }
            return true
        }
        guard first else { return done() }
        if environment.trap.isSprung { return abandonThread() }
        // One thread, first in first out: whatever drains before this has taken all there is.
        thread.submit { _ in
            self.drain()
            self.foldAll()
            self.queue.withLockedValue { $0.closing.take() }?()
            self.thread.shutdownGracefully { _ in }
        }
    }

    /// LMDB keeps the thread, and nothing on it will look at the environment again: answers all who wait for it, and closes the
    /// environment, if that is wanted already, from another one.
    private func abandonThread() {
        let (left, close) = queue.withLockedValue { queue in
            defer {
                queue.underWay = []
                queue.work.removeAll()
                queue.bytes = 0
            }
            return (Array(queue.underWay) + Array(queue.work), queue.closing.take())
        }
        for work in left { answer(work, .failure(StoreSession.Broken())) }
        guard let close else { return }
        let closer = NIOThreadPool(numberOfThreads: 1)
        closer.start()
        closer.submit { _ in
            close()
            closer.shutdownGracefully { _ in }
        }
    }

    /// Notes that the environment cannot be trusted or used any more: no more writes.
    func breakDown(_ reason: String) {
        if brokenFlag.exchange(true, ordering: .acquiringAndReleasing) { return }
        if let body = onBreak.withLockedValue({ $0.take() }) { body(reason) }
    }

    private func drain() {
        while let group = takeGroup() { write(group) }
    }

    private func takeGroup() -> [Work]? {
        let limit = groupBytes.load(ordering: .relaxed)
        return queue.withLockedValue { queue in
            var group: [Work] = []
            var bytes = 0
            while let next = queue.work.first, group.count < Self.maximumGroupCount {
                if bytes > 0, bytes + next.bytes > limit { break }
                bytes += next.bytes
                group.append(queue.work.removeFirst())
            }
            queue.bytes -= bytes
            queue.draining = !group.isEmpty
            return group.isEmpty ? nil : group
        }
    }

    /// Writes a group, in as many commits as it takes, and answers all who wait for it.
    private func write(_ group: [Work]) {
        var rest = group[...]
        var most = rest.count
        var retries = 0
        while !rest.isEmpty {
            queue.withLockedValue { $0.underWay = rest }
            do {
                let outcomes = try commit(rest.prefix(most))
                // About as much went out as came in, and looking at an extent of 32 KiB maps the 64 KiB around it, old and new ones.
                mapped.touch(4 * rest.prefix(outcomes.count).reduce(0) { $0 + $1.bytes })
                for (work, outcome) in zip(rest, outcomes) { answer(work, .success(outcome)) }
                rest = rest.dropFirst(outcomes.count)
                queue.withLockedValue { $0.underWay = [] }
                recovered()
            } catch let failure as LMDBFailure {
                if failure.isMapFull, retries < Self.triesOnFullMap {
                    // What the first evictions freed, a reader of this or another process may still hold: it is short, so wait for it.
                    if retries >= 2 { BlockingWait.sleep(microseconds: 500 << UInt32(retries)) }
                    if giveUp(2 * UInt64(budget.groupBytes), Self.maximumEvictions) {
                        retries += 1
                        continue
                    }
                }
                // The file cannot grow: what room there is, is inside it. One at a time, and few pages at a time, because an
                // eviction needs free pages for the index, too.
                if failure.isDiskFull, retries < 4, giveUp(UInt64(ChunkLimits.sealedBytes), Self.evictionsOnFullDisk) {
                    retries += 1
                    most = 1
                    continue
                }
                if failure.isFatal {
                    breakDown("\(failure)")
                    return answerBroken(rest)
                }
                return refuse(rest, failure)
            } catch {
                return answerBroken(rest)
            }
        }
    }

    /// One commit of the first works of `group`: the outcomes of those that are in it.
    private func commit(_ group: ArraySlice<Work>) throws -> [PutOutcome] {
        if isBroken { throw StoreSession.Broken() }
        let started = Self.nanoseconds()
        let now = Self.seconds()
        var outcomes: [PutOutcome] = []
        var added: [ChunkID] = []
        var tally = (bytes: 0, ghosts: 0)
        var transaction = try StoreTransaction(environment, layout: layout)
        var changed = false
        try policy.withLockedValue { policy in
            for work in group {
                switch work {
                case .put(let id, let sealed, _):
                    if try transaction.record(id) != nil {
                        outcomes.append(.alreadyPresent)
                        continue
                    }
                    guard try makeRoom(for: sealed.readableBytes, in: &transaction, &policy) else {
                        changed = true
                        return
                    }
                    let queue = policy.admit(id)
                    if queue == .main { tally.ghosts += 1 }
                    try sealed.withUnsafeReadableBytes { try transaction.insert(id, $0, queue) }
                    added.append(id)
                    tally.bytes += sealed.readableBytes
                    changed = true
                case .drop(let id):
                    if try transaction.remove(id) { changed = true }
                case .flush:
                    for id in touched.take(.max) where try transaction.fold(id, frequencies) { changed = true }
                }
                outcomes.append(.created)
            }
        }
        if changed {
            for id in touched.take(Self.foldedPerCommit) { try transaction.fold(id, frequencies) }
            let evictions = transaction.evictions
            try transaction.commit()
            counters.evictions.count(UInt64(evictions))
            counters.puts.count(UInt64(added.count))
            counters.bytesPut.count(UInt64(tally.bytes))
            counters.ghostHits.count(UInt64(tally.ghosts))
            for id in added { frequencies.reset(id, now: now) }
            adapt(to: Self.nanoseconds() - started)
        }
        return outcomes
    }

    /// Evicts until a chunk of `length` bytes fits; false if this commit has evicted enough and the next one must go on.
    private func makeRoom(
        for length: Int, in transaction: inout StoreTransaction, _ policy: inout S3FIFO
    ) throws(LMDBFailure) -> Bool {
        let needed = layout.diskBytes(length)
        while transaction.state.usedBytes &+ needed > budget.usableBytes {
            if transaction.evictions >= Self.maximumEvictions { return false }
            if try !transaction.evictOne(&policy, frequencies) { break }
        }
        return true
    }

    /// Evicts chunks of `bytes` together, at most `count`, so that a write that found no room can be tried again. Pages freed by one
    /// commit are usable in the second one after it.
    private func giveUp(_ bytes: UInt64, _ count: Int) -> Bool {
        do {
            var transaction = try StoreTransaction(environment, layout: layout)
            let target = transaction.state.usedBytes - min(transaction.state.usedBytes, bytes)
            try policy.withLockedValue { policy in
                while transaction.state.usedBytes > target, transaction.evictions < count {
                    if try !transaction.evictOne(&policy, frequencies) { break }
                }
            }
            let evictions = transaction.evictions
            try transaction.commit()
            counters.evictions.count(UInt64(evictions))
            try StoreTransaction(environment, layout: layout).commit()
            return true
        } catch {
            logger.debug("no room could be made", metadata: ["reason": "\(error)"])
            return false
        }
    }

    private func foldAll() {
        do {
            while !isBroken {
                let ids = touched.take(Self.maximumGroupCount)
                if ids.isEmpty { return }
                var transaction = try StoreTransaction(environment, layout: layout)
                var changed = false
                for id in ids where try transaction.fold(id, frequencies) { changed = true }
                if changed { try transaction.commit() }
            }
        } catch {
            logger.warning(
                "recency of chunks was not kept", metadata: ["directory": "\(directory.path)", "reason": "\(error)"])
        }
    }

    private func answer(_ work: Work, _ result: Result<PutOutcome, any Error>) {
        switch work {
        case .put(_, _, let waiting): waiting?.resume(with: result)
        // Not before: until the commit a reader can meet it once more.
        case .drop(let id): queue.withLockedValue { _ = $0.dropping.remove(id) }
        case .flush(let waiting): waiting.resume(with: result.map { _ in })
        }
    }

    private func answerBroken(_ works: ArraySlice<Work>) {
        queue.withLockedValue { $0.underWay = [] }
        for work in works { answer(work, .failure(StoreSession.Broken())) }
    }

    private func refuse(_ works: ArraySlice<Work>, _ failure: LMDBFailure) {
        queue.withLockedValue { $0.underWay = [] }
        let wasFailing = isFailing.exchange(true, ordering: .relaxed)
        if !wasFailing {
            let lack = failure.isDiskFull ? directory.lackOfSpace() : nil
            spaceError.store(lack?.rawValue ?? 0, ordering: .relaxed)
        }
        let lack = spaceError.load(ordering: .relaxed)
        let what = "write to the chunk store \(directory.path)"
        let error = lack == 0 ? CacheError(.io, what, cause: failure) : CacheError.system(what, Errno(rawValue: lack))
        for work in works { answer(work, .failure(error)) }
        if !wasFailing { logger.warning("chunk store cannot write; reads go on", metadata: ["error": "\(error)"]) }
        guard lack == 0, failure.isDiskFull else { return }
        let failures = failuresInARow.wrappingAdd(1, ordering: .relaxed).newValue
        if failures >= Self.failuresThatBreak { breakDown("\(failures) writes in a row failed: \(failure)") }
    }

    private func recovered() {
        failuresInARow.store(0, ordering: .relaxed)
        if isFailing.exchange(false, ordering: .relaxed) {
            logger.info("chunk store can write again", metadata: ["directory": "\(directory.path)"])
        }
    }

    private func adapt(to nanoseconds: UInt64) {
        counters.committed(nanoseconds: nanoseconds)
        let current = groupBytes.load(ordering: .relaxed)
        if nanoseconds > Self.slowCommitNanoseconds {
            groupBytes.store(max(current / 2, Self.smallestGroupBytes), ordering: .relaxed)
        } else if nanoseconds < Self.slowCommitNanoseconds / 2 {
            groupBytes.store(min(current + current / 8, budget.groupBytes), ordering: .relaxed)
        }
    }

    private static func nanoseconds() -> UInt64 {
        UInt64(truncatingIfNeeded: SystemClock.monotonic())
    }

    /// Seconds of a clock that is cheap to read.
    static func seconds() -> UInt32 {
        UInt32(truncatingIfNeeded: SystemClock.monotonicSeconds()) & 0x3FFF_FFFF
    }
}
