internal import CacheCore
internal import Logging
internal import NIOConcurrencyHelpers
internal import NIOCore
internal import NIOPosix
internal import Synchronization

/// L1 as the reader sees it: nothing that its disk or its other users do can fail a read, or hold reads up for longer
/// than the deadline in all (and a share of the time that they take, see ``WaitBudget``).
///
/// It reads on threads of its own, so that a disk that hangs keeps no other work from a thread.
final class L1Tier: Sendable {
    private let store: ChunkStore
    private let pool: NIOThreadPool
    private let deadline: Duration
    private let deadlines: Deadlines
    /// What reads and fills together may still lose to L1.
    private let budget: NIOLockedValueBox<WaitBudget>
    /// Reads on threads of their readers.
    let visits = VisitsUnderWay()
    private let readsUnderWay = Synchronization.Atomic<Int>(0)
    private let reads: TierGuard
    private let writes: TierGuard
    private let logger: Logger
    private let hasWarned = Synchronization.Atomic<Bool>(false)
    /// Bytes that are touched in L1's map before it is unmapped: 48 look-ups. The kernel maps neighbours of what is
    /// replaced as well: what L1 adds to the resident memory of the process is up to three times as much.
    private static let mappedBytes = 6 << 20
    /// Reads that nobody waits for yet, and that no thread has begun.
    private static let waitingReads = 64
    /// A read takes that long now and then, on a machine or disk that is busy, without L1 being ill.
    static let free = Duration.milliseconds(250)

    private init(
        _ store: ChunkStore, on pool: NIOThreadPool, deadline: Duration, budget: WaitBudget, deadlines: Deadlines,
        logger: Logger
    ) {
        self.store = store
        self.pool = pool
        self.deadline = deadline
        self.deadlines = deadlines
        self.budget = NIOLockedValueBox(budget)
        reads = TierGuard(time: deadlines.time, countingAsIllness: Self.isLateness)
        writes = TierGuard(time: deadlines.time, countingAsIllness: Self.isLateness)
        self.logger = logger
    }

    /// A disk that fails, or is full, says so at once: that costs its readers nothing.
    private static func isLateness(_ error: any Error) -> Bool { (error as? CacheError)?.code == .timedOut }

    /// Opens the store in `directory`, within the deadline.
    ///
    /// - Returns: `nil`, with a line in the log, if that cannot be done now: a full, read-only or failing disk, no
    ///   permission, a neighbour that is stopped. A cache must not fail a read for that.
    /// - Throws: ``CacheError`` for what is wrong at every opening: the path is not one of a directory (`.io`), this
    ///   process has it open already (`.conflict`), the capacity is out of range; `CancellationError`.
    static func open(
        _ directory: String, _ settings: L1Settings, threads: Int, deadlines: Deadlines, logger: Logger
    ) async throws -> L1Tier? {
        let deadline = settings.deadline
        let pool = NIOThreadPool(numberOfThreads: threads)
        pool.start()
        let time = deadlines.time
        let began = time.now()
        // A little before the deadline, so that the line in the log can say what it waited for.
        let end = began + deadline * 0.95
        let isGivenUp = GivenUp()
        do {
            let store = try await deadlines.run(deadline, "L1 in \(directory)") {
                try await pool.runIfActive {
                    var options = ChunkStore.Options(capacity: settings.capacity)
                    options.mappedBytes = mappedBytes
                    // A fill is worth less than the time of its reader.
                    options.waitsForReopening = false
                    options.isGivenUp = { isGivenUp.flag.load(ordering: .relaxed) || time.now() >= end }
                    return try open(directory, options, logger)
                }
            }
            var budget = WaitBudget(deadline)
            let now = time.now()
            budget.spend(now - began - free, now: now)
            return L1Tier(
                store, on: pool, deadline: deadline, budget: budget, deadlines: deadlines, logger: logger)
        } catch {
            // A thread that is still at it finds that out, and closes what it may have opened.
            isGivenUp.flag.store(true, ordering: .relaxed)
            pool.shutdownGracefully { _ in }
            if Task.isCancelled { throw CancellationError() }
            if let mistake = error as? Mistake { throw mistake.error }
            logger.warning(
                "L1 cannot be used: going on without it", metadata: ["directory": "\(directory)", "error": "\(error)"])
            return nil
        }
    }

    private final class GivenUp: Sendable {
        let flag = Synchronization.Atomic<Bool>(false)
    }

    /// The directory is a wrong choice: it will be tomorrow, and on every host.
    private struct Mistake: Error {
        let error: CacheError
    }

    /// Blocks.
    private static func open(
        _ directory: String, _ options: ChunkStore.Options, _ logger: Logger
    ) throws -> ChunkStore {
        do {
            return try ChunkStore.open(directory, options: options, logger: logger)
        } catch {
            let code = (error as? CacheError)?.code ?? .io
            guard [.conflict, .invalidInput].contains(code) || DirectoryPath.canNeverBe(directory) else { throw error }
            throw Mistake(
                error: CacheError(
                    code, "L1 cannot be in \(directory): name another directory, or leave L1 out", cause: error))
        }
    }

    var statistics: ChunkStoreStatistics { store.statistics }

    // MARK: Reads

    /// The plaintext of a chunk. Throws only if the task is cancelled.
    /// - Parameter buffers: where its memory comes from; `nil` for a buffer of its exact length.
    func get(_ ref: ChunkRef, buffers: BufferPool?) async throws -> TierAnswer {
        switch reads.admit() {
        case .no: return .unavailable
        case .probe:
            // No reader waits for a tier that was of no use the last time.
            Task { try await ask("\(ref.id)") { [store] in try Self.read(ref, store, nil) } }
            return .unavailable
        case .yes:
            return try await ask("\(ref.id)") { [store] in try Self.read(ref, store, buffers) } ?? .unavailable
        }
    }

    /// The plaintext of a chunk, read on the calling thread, which a disk that hangs keeps.
    ///
    /// `.unavailable` at once if L1 is left alone, or another thread has had to wait for it for a while already: then
    /// ``get(_:buffers:)``, which has a deadline, is the way.
    func getAtOnce(_ ref: ChunkRef) -> TierAnswer {
        atOnce("\(ref.id)") { try Self.read(ref, store, nil) } ?? .unavailable
    }

    /// As ``getAtOnce(_:)`` of two different chunks, which takes less time than one after the other.
    /// - Parameter answer: gets each one's answer as soon as it is there.
    func getAtOnce(
        _ first: ChunkRef, _ second: ChunkRef, _ answer: (_ isSecond: Bool, TierAnswer) -> Void
    ) {
        var answered = (false, false)
        let isDone: Void? = atOnce("\(first.id), \(second.id)") {
            try Self.readBoth(first, second, store) { isSecond, found in
                if isSecond { answered.1 = true } else { answered.0 = true }
                answer(isSecond, found)
            }
        }
        guard isDone == nil else { return }
        if !answered.0 { answer(false, .unavailable) }
        if !answered.1 { answer(true, .unavailable) }
    }

    /// Does something that needs L1's disk on the calling thread; `nil` if it fails, or may not be done now.
    private func atOnce<T>(_ what: @autoclosure () -> String, _ read: () throws -> T) -> T? {
        guard !isLeftAlone, let visit = visits.enter(now: deadlines.time.now()) else { return nil }
        defer { visits.leave(visit) }
        let began = deadlines.time.now()
        readsUnderWay.add(1, ordering: .relaxed)
        defer { readsUnderWay.subtract(1, ordering: .relaxed) }
        switch reads.callAtOnce(read) {
        case .success(let found):
            if !spend(deadlines.time.now() - began) { leaveAlone() }
            return found
        case .failure(let error):
            note(error, what())
            return nil
        }
    }

    /// A line for reads that nobody waits for yet, on as many of its threads as there are cores.
    func line<Work>(_ body: @escaping @Sendable (Work, Work?) -> Void) -> WorkLine<Work> {
        WorkLine(
            on: pool, threads: System.coreCount, capacity: Self.waitingReads, time: deadlines.time, body)
    }

    /// Whether it has a chunk, damaged or not; false if it does not say. Throws only if the task is cancelled.
    func has(_ id: ChunkID) async throws -> Bool {
        guard !isLeftAlone else { return false }
        return try await ask("\(id)") { [store] in try store.contains(id) } ?? false
    }

    /// For each of `ids`, whether L1 lacks it; `nil` if it does not say. Throws only if the task is cancelled.
    func missing(_ ids: [ChunkID]) async throws -> [Bool]? {
        guard !isLeftAlone else { return nil }
        return try await ask("\(ids.count) chunks") { [store] in try store.missing(ids) }
    }

    /// The sealed bytes of what is kept under a name, checked. Throws only if the task is cancelled.
    func sealed(_ id: ChunkID) async throws -> TierAnswer {
        guard !isLeftAlone else { return .unavailable }
        return try await ask("\(id)") { [store] in
            do {
                return try store.read(id).map { .hit($0) } ?? .miss(dropped: false)
            } catch let error as CacheError where error.code == .corrupt {
                return .miss(dropped: true)
            }
        } ?? .unavailable
    }

    /// Whether it was of no use lately, and is only asked to find out whether that is still so.
    var isLeftAlone: Bool { reads.isOpen }

    /// Reads on one of L1's threads; else as ``ask(_:_:)``.
    private func ask<T: Sendable>(
        _ what: @autoclosure () -> String, blocking read: @escaping @Sendable () throws -> T
    ) async throws -> T? {
        try await ask(what()) { [pool] in try await pool.runIfActive { try read() } }
    }

    /// Does something that needs L1's disk, as one of its reads; `nil` if it fails or is late. Throws only if the task
    /// is cancelled.
    func ask<T: Sendable>(
        _ what: @autoclosure () -> String, _ read: @escaping @Sendable () async throws -> T
    ) async throws -> T? {
        let began = deadlines.time.now()
        readsUnderWay.add(1, ordering: .relaxed)
        defer { readsUnderWay.subtract(1, ordering: .relaxed) }
        switch try await reads.call({ try await deadlines.run(waitForRead, "L1", read) }) {
        case .success(let answer):
            if !spend(deadlines.time.now() - began) { leaveAlone() }
            return answer
        case .failure(let error):
            if Self.isLateness(error), !spend(deadlines.time.now() - began) || reads.isOpen { leaveAlone() }
            note(error, what())
            return nil
        }
    }

    var waitForRead: Duration { min(deadline, max(leftOfBudget, Self.free)) }

    private var leftOfBudget: Duration {
        budget.withLockedValue { $0.left(now: deadlines.time.now()) }
    }

    /// Takes note that a read took so long; whether there is something left of the budget, or nothing was lost.
    private func spend(_ duration: Duration) -> Bool {
        let loss = duration - Self.free
        guard loss > .zero else { return true }
        return budget.withLockedValue { budget in
            let now = deadlines.time.now()
            budget.spend(loss / max(readsUnderWay.load(ordering: .relaxed), 1), now: now)
            return budget.left(now: now) > .zero
        }
    }

    /// One line in the log, however often that happens.
    private func leaveAlone() {
        reads.open()
        warn("L1 does not answer in time: going on without it for a while")
    }

    private func warn(_ message: Logger.Message) {
        if hasWarned.exchange(true, ordering: .relaxed) { return }
        logger.warning(message, metadata: ["directory": "\(store.directory)"])
    }

    private func note(_ error: any Error, _ what: String) {
        logger.debug("L1 did not serve a chunk", metadata: ["chunk": "\(what)", "error": "\(error)"])
    }

    /// Closes the store, but waits for a disk that hangs only within the budget.
    func close() async {
        let wait = writes.isOpen || reads.isOpen ? Self.free : waitForRead
        do {
            try await deadlines.run(wait, "L1, being closed,") { [store, pool] in
                await store.close()
                try await pool.shutdownGracefully()
            }
        } catch {
            // Its threads keep it; all that was read was delivered.
            pool.shutdownGracefully { _ in }
            warn("L1 was not closed in time")
        }
    }

    // MARK: One read

    /// Reads a chunk into memory of this thread's opener, and opens it there. Blocks.
    private static func read(_ ref: ChunkRef, _ store: ChunkStore, _ buffers: BufferPool?) throws -> TierAnswer {
        let opener = ChunkOpener.current
        switch try take(ref, from: store, into: opener.intake) {
        case .failure(let miss): return miss.answer
        case .success(let count):
            return try answer(ref, store) {
                let sealed = UnsafeRawBufferPointer(rebasing: opener.intake[..<count])
                return try PlainBuffer.make(ref, from: buffers) { try opener.open(ref, sealed: sealed, into: $0) }
            }
        }
    }

    /// Reads two chunks and decrypts them at once. Blocks.
    private static func readBoth(
        _ first: ChunkRef, _ second: ChunkRef, _ store: ChunkStore, _ done: (_ isSecond: Bool, TierAnswer) -> Void
    ) throws {
        let opener = ChunkOpener.current
        var here: [(isSecond: Bool, ref: ChunkRef, count: Int)] = []
        for (isSecond, ref, intake) in [(false, first, opener.intake), (true, second, opener.secondIntake)] {
            switch try take(ref, from: store, into: intake) {
            case .failure(let miss): done(isSecond, miss.answer)
            case .success(let count): here.append((isSecond, ref, count))
            }
        }
        let texts: [Result<ChunkOpener.Decrypted, CacheError>]
        if here.count == 2 {
            let both = opener.decrypt((first, here[0].count), (second, here[1].count))
            texts = [both.first, both.second]
        } else {
            texts = here.map { opener.decrypt($0.ref, count: $0.count, isSecond: $0.isSecond) }
        }
        for (part, text) in zip(here, texts) {
            let found = try answer(part.ref, store) {
                let text = try text.get()
                return try PlainBuffer.make(part.ref, from: nil) { try opener.expand(text, into: $0) }
            }
            done(part.isSecond, found)
        }
    }

    /// That the store has no copy, or has none any more.
    private struct Miss: Error {
        let isDropped: Bool
        var answer: TierAnswer { .miss(dropped: isDropped) }
    }

    /// The bytes of a chunk as they are stored; how many there are.
    private static func take(
        _ ref: ChunkRef, from store: ChunkStore, into memory: UnsafeMutableRawBufferPointer
    ) throws -> Result<Int, Miss> {
        do {
            let count = try store.readUnverified(ref.id, touch: true, into: memory)
            return count.map { .success($0) } ?? .failure(Miss(isDropped: false))
        } catch let error as CacheError where error.code == .corrupt {
            return .failure(Miss(isDropped: true))
        }
    }

    /// What `open` makes of the bytes that were stored, as an answer.
    private static func answer(
        _ ref: ChunkRef, _ store: ChunkStore, _ open: () throws -> ByteBuffer
    ) throws -> TierAnswer {
        do {
            return .hit(try open())
        } catch let error as CacheError where error.code == .corrupt {
            return .miss(dropped: try drops(ref.id, store))
        }
    }

    /// Whether the chunk was damaged, and is dropped. Reading it again tells: if the bytes are what their name says,
    /// the manifest is wrong, and the chunk stays for other readers. If it is gone, another reader has found it
    /// damaged, and counted that.
    private static func drops(_ id: ChunkID, _ store: ChunkStore) throws -> Bool {
        do {
            _ = try store.read(id, touch: false)
            return false
        } catch let error as CacheError where error.code == .corrupt {
            return true
        }
    }
}

// MARK: - Fills

extension L1Tier: FillTarget {
    /// L1 gives no leases, and has dropped what was damaged.
    func put(_ id: ChunkID, _ sealed: ByteBuffer, _: TierGap) async throws { _ = try await keep(id, sealed) }

    /// As ``put(_:_:_:)``; whether L1 has the chunk now.
    func keep(_ id: ChunkID, _ sealed: ByteBuffer) async throws -> Bool {
        if writes.admit() == .no { return false }
        let end = try await writes.call {
            try await deadlines.run(deadline, "L1") { [store] in _ = try await store.put(id, sealed) }
        }
        guard case .failure(let error) = end else { return true }
        if Self.isLateness(error), writes.isOpen {
            warn("L1 does not take chunks in time: going on without filling it for a while")
        }
        note(error, "\(id)")
        return false
    }

    func waitForFill(isLeased: Bool) -> Duration { writes.isOpen ? .zero : max(leftOfBudget, .zero) }

    func waitForEnd(isLeased: Bool) -> Duration { waitForFill(isLeased: isLeased) }

    func waitedForFill(_ duration: Duration, readers: Int, isLeased: Bool) {
        budget.withLockedValue { $0.spend(duration / readers, now: deadlines.time.now()) }
    }
}
