internal import CacheBase
internal import CacheChunks
internal import CacheFiles
internal import Logging
internal import NIOPosix

/// The one thread that writes: it takes what waits in a ``WriteQueue``, has it committed in groups, and answers those
/// who wait.
///
/// What fails is tried again where room can be made, refused where the disk refuses, and breaks the session where
/// LMDB's files are broken.
final class StoreWriter: Sendable {
    /// Tries of a commit for which the map has no free page, with pauses of 2, 4 and 8 ms before the last three.
    private static let triesOnFullMap = 5
    /// Tries of a commit for which the file cannot grow, and chunks evicted before each.
    private static let triesOnFullDisk = 4
    private static let evictionsOnFullDisk = 8

    private let counters: StoreCounters
    private let directory: StoreDirectory
    private let environment: Environment
    private let mapped: MappedPages
    private let broken: BreakLatch
    private let logger: Logger
    private let thread = NIOThreadPool(numberOfThreads: 1)
    private let queue: WriteQueue
    private let committer: GroupCommitter
    private let failures: WriteFailures

    /// - Parameters:
    ///   - committer: of the same store.
    ///   - broken: set here when writing shows that the files are broken.
    ///   - queueLimit: sealed bytes that may wait.
    init(
        _ opened: OpenedStore, committer: GroupCommitter, mapped: MappedPages, broken: BreakLatch, queueLimit: Int,
        counters: StoreCounters, logger: Logger
    ) {
        directory = opened.directory
        environment = opened.environment
        self.committer = committer
        self.mapped = mapped
        self.broken = broken
        self.counters = counters
        self.logger = logger
        queue = WriteQueue(path: opened.directory.path, maximumBytes: queueLimit)
        failures = WriteFailures(opened.directory, logger)
        thread.start()
        environment.trap.whenSprung { [weak self] reason in
            broken.set(reason)
            self?.abandonThread()
        }
    }

    var queuedBytes: Int { queue.bytes }

    /// Queues `write`.
    /// - Throws: `.overloaded` if the queue is full, ``StoreSession/Broken`` once the files are broken or closed.
    func submit(_ write: QueuedWrite) throws {
        if broken.isSet { throw StoreSession.Broken() }
        if try queue.append(write) { thread.submit { _ in self.drain() } }
    }

    /// Queues the dropping of a damaged chunk, and counts it.
    ///
    /// - Parameter isHere: looks once more, when no other can have it dropped: since it was read it may have gone.
    /// - Returns: false if it is on its way out already, and counted, or gone.
    func drop(_ id: ChunkID, if isHere: () throws -> Bool) rethrows -> Bool {
        switch queue.claimDrop(of: id) {
        case .held: return false
        case .refused: return true
        case .granted: break
        }
        var isDropped = false
        defer { if !isDropped { queue.endDrop(of: id) } }
        guard try isHere() else { return false }
        isDropped = true
        counters.corruptDropped.count()
        // A store that is closed or out of order has nothing left to drop from.
        try? submit(.drop(id))
        return true
    }

    /// Whether a chunk was found damaged and is on its way out.
    func isDropping(_ id: ChunkID) -> Bool { queue.isDropping(id) }

    /// Commits what waits, keeps the reads that were counted, closes the environment. The first call does it, others
    /// return.
    func close(_ reads: ReadPool, _ done: @escaping @Sendable () -> Void) {
        let isFirst = queue.close {
            self.directory.closing {
                reads.close()
                self.environment.close()
            }
            done()
        }
        guard isFirst else { return done() }
        if environment.trap.isSprung { return abandonThread() }
        // The thread runs one submission after the other, so all earlier drains are over.
        thread.submit { _ in
            self.drain()
            self.foldAll()
            self.queue.takeClosing()?()
            self.thread.shutdownGracefully { _ in }
        }
    }

    /// Gives the writer's thread up, which LMDB holds for good (``AssertionTrap``): answers all who wait for it, and
    /// closes the environment from another thread if that was asked for.
    private func abandonThread() {
        let (left, close) = queue.abandon()
        for write in left { answer(write, .failure(StoreSession.Broken())) }
        guard let close else { return }
        let closer = NIOThreadPool(numberOfThreads: 1)
        closer.start()
        closer.submit { _ in
            close()
            closer.shutdownGracefully { _ in }
        }
    }

    private func drain() {
        while let group = queue.takeGroup(committer.groupBytes) { write(group) }
    }

    /// Writes a group, in as many commits as it takes, and answers all who wait for it.
    private func write(_ group: [QueuedWrite]) {
        var rest = group[...]
        var most = rest.count
        var retries = 0
        while !rest.isEmpty {
            queue.setUnderWay(rest)
            do {
                if broken.isSet { throw StoreSession.Broken() }
                let outcomes = try committer.commit(rest.prefix(most))
                // About as much went out as came in, and looking at an extent of 32 KiB maps the 64 KiB around it, old
                // and new ones.
                mapped.touch(4 * rest.prefix(outcomes.count).reduce(0) { $0 + $1.bytes })
                for (write, outcome) in zip(rest, outcomes) { answer(write, .success(outcome)) }
                rest = rest.dropFirst(outcomes.count)
                queue.setUnderWay([])
                failures.end()
            } catch let failure as LMDBFailure {
                if failure.isMapFull, retries < Self.triesOnFullMap {
                    // A reader of this or another process may still hold the pages that the first evictions freed.
                    // Reads are short: wait.
                    if retries >= 2 { BlockingWait.sleep(microseconds: 500 << UInt32(retries)) }
                    if committer.evictForFullMap() {
                        retries += 1
                        continue
                    }
                }
                // The file cannot grow, so room must come from inside it: one request and few pages at a time, because
                // an eviction needs free pages for the index, too.
                if failure.isDiskFull, retries < Self.triesOnFullDisk,
                    committer.evict(UInt64(ChunkLimits.sealedBytes), atMost: Self.evictionsOnFullDisk)
                {
                    failures.noteFullDisk(now: Self.nanoseconds())
                    retries += 1
                    most = 1
                    continue
                }
                if failure.isFatal {
                    broken.set("\(failure)")
                    return answer(rest, StoreSession.Broken())
                }
                return refuse(rest, failure)
            } catch {
                return answer(rest, StoreSession.Broken())
            }
        }
    }

    private func foldAll() {
        do {
            while !broken.isSet, try committer.foldReads() {}
        } catch {
            logger.warning(
                "recency of chunks was not kept", metadata: ["directory": "\(directory.path)", "reason": "\(error)"])
        }
    }

    private func answer(_ write: QueuedWrite, _ result: Result<PutOutcome, any Error>) {
        switch write {
        case .put(_, _, let waiting): waiting?.resume(with: result)
        // Not earlier: until the commit a reader can meet the chunk and report it once more.
        case .drop(let id): queue.endDrop(of: id)
        case .flush(let waiting): waiting.resume(with: result.map { _ in })
        }
    }

    private func answer(_ writes: ArraySlice<QueuedWrite>, _ error: any Error) {
        queue.setUnderWay([])
        for write in writes { answer(write, .failure(error)) }
    }

    private func refuse(_ writes: ArraySlice<QueuedWrite>, _ failure: LMDBFailure) {
        let (error, suspicion) = failures.note(failure)
        answer(writes, error)
        guard let suspicion else { return }
        // A disk that refuses writes may read all the same: only a damaged index is a reason to close the files.
        do { try committer.checkIndex() } catch { broken.set("\(suspicion); \(error)") }
    }

    static func nanoseconds() -> UInt64 {
        UInt64(truncatingIfNeeded: SystemClock.monotonic())
    }

    /// Seconds of a clock that is cheap to read.
    static func seconds() -> UInt32 {
        UInt32(truncatingIfNeeded: SystemClock.monotonicSeconds()) & 0x3FFF_FFFF
    }
}
