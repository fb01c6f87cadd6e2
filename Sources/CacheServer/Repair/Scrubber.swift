internal import CacheChunks
internal import CacheCrypto
internal import CacheFiles
internal import CacheStore
internal import Logging
internal import NIOConcurrencyHelpers
internal import NIOCore
internal import NIOPosix

/// The scrub: looks at all that is kept, one chunk after the other, at a bounded rate, and drops what is damaged.
///
/// A pass goes through the store in the order of names, which no eviction and no restart confuses, and then through
/// what is in memory. It works on a thread of its own that gives way to others, in steps which the sweep of an event
/// loop sets off. Looking counts as no use, writes nothing, and leaves the page cache as it was.
final class Scrubber: Sendable {
    /// What it did since the daemon started, and where it is.
    struct Progress: Sendable, Hashable {
        var bytes = 0
        var chunks = 0
        var damaged = 0
        var passes = 0
        var place = ScrubPlace()
    }

    private struct State {
        var progress = Progress()
        /// Bytes that may be looked at now; below zero after a chunk that was larger than what was left.
        var credit = 0.0
        var lastTick: NIODeadline
        var passBegins = NIODeadline.uptimeNanoseconds(0)
        /// Chunks that clients have got from memory since the last tick, and whether they were many.
        var reads = 0
        var areReadsMany = false
        var isWorking = false
        var isStopped = false
    }

    /// The rest of a pass; for the thread alone.
    private struct Walk {
        var stored: ArraySlice<ChunkID> = []
        /// What is in memory, once the store is done.
        var kept: ArraySlice<ChunkID>?
        var damagedInPass = 0
        var placeKept = ScrubPlace()
        var placeKeptAt = NIODeadline.uptimeNanoseconds(0)
    }

    /// A chunk counts so many times while clients have the store read, or get much from memory: then the scrub takes
    /// that part of its rate.
    private static let loadFactor = 8.0
    /// Reads a second from memory that are many, a hundredth of what one event loop can do. Where cores are few, they
    /// would wait while the scrub has one: 1 % of the time, which is all of the slowest hundredth.
    private static let manyReads = 1_000.0
    /// A tick has at most this part of a second's bytes looked at, whatever is left from ticks before: there are at
    /// least two a second.
    private static let stepsPerSecond = 2.0
    /// From the end of a pass to the beginning of the next: a small store is not looked at all the time.
    private static let rest = TimeAmount.minutes(10)
    private static let placeInterval = TimeAmount.seconds(60)

    private let tiers: ChunkTiers
    private let directory: String
    private let rate: Double
    private let logger: Logger
    /// Whether its file may be written.
    private let keepsPlace: Bool
    private let thread: NIOThreadPool?
    private let state: NIOLockedValueBox<State>
    private let walk = NIOLockedValueBox(Walk())

    /// Reads where the last one was. Blocks.
    /// - Parameters:
    ///   - rate: bytes a second; 0 for no scrub.
    ///   - now: from when on time is worth bytes.
    init(_ tiers: ChunkTiers, directory: String, rate: Int, from now: NIODeadline, logger: Logger) {
        self.tiers = tiers
        self.directory = directory
        self.rate = Double(rate)
        self.logger = logger
        var state = State(lastTick: now)
        do {
            state.progress.place = try ScrubPlace.read(in: directory)
            keepsPlace = true
        } catch {
            keepsPlace = false
            logger.warning("the scrub begins anew with each start", metadata: ["error": "\(error)"])
        }
        self.state = NIOLockedValueBox(state)
        thread = rate > 0 ? NIOThreadPool(numberOfThreads: 1) : nil
        thread?.start()
        thread?.submit { _ in ThreadPriority.giveWay() }
    }

    var progress: Progress { state.withLockedValue { $0.progress } }

    /// Gives the scrub what the time since the last call is worth. Returns at once; to be called again and again.
    func tick(at now: NIODeadline) {
        guard let thread else { return }
        let begins = state.withLockedValue { state in
            let elapsed = Double((now - state.lastTick).nanoseconds) / 1e9
            state.lastTick = now
            if elapsed > 0 {
                state.areReadsMany = Double(state.reads) > elapsed * Self.manyReads
                state.reads = 0
            }
            // What a slow disk or a busy machine leaves undone is not made up for later.
            state.credit = min(state.credit + elapsed * rate, rate)
            guard state.credit > 0, state.passBegins <= now, !state.isWorking, !state.isStopped else { return false }
            state.isWorking = true
            return true
        }
        guard begins else { return }
        thread.submit { [self] pool in
            if case .active = pool { work(at: now) }
            state.withLockedValue { $0.isWorking = false }
        }
    }

    /// Clients of one event loop have got so many chunks from memory since it said so last.
    func noteReads(_ count: Int) {
        if thread != nil { state.withLockedValue { $0.reads += count } }
    }

    /// Ends after the chunk that it looks at now, and keeps its place. Blocks no longer than that takes.
    func stop() async {
        state.withLockedValue { $0.isStopped = true }
        guard let thread else { return }
        do {
            try await thread.runIfActive { [self] in keepPlace() }
            try await thread.shutdownGracefully()
        } catch {
            logger.warning("the scrub did not end well", metadata: ["error": "\(error)"])
        }
    }

    // MARK: On its thread

    private func work(at now: NIODeadline) {
        walk.withLockedValue { walk in
            let least = credit - rate / Self.stepsPerSecond
            // A store that is being opened again has nothing to show, which is no end of a pass.
            while mayGoOn, credit > max(least, 0), tiers.store.isServing {
                do {
                    guard try lookAtNext(&walk) else { return endPass(&walk, at: now) }
                } catch {
                    // The place is behind that chunk already. A store that fails says so itself.
                    logger.debug("the scrub passes over a chunk", metadata: ["error": "\(error)"])
                    return
                }
            }
            if now - walk.placeKeptAt >= Self.placeInterval {
                walk.placeKeptAt = now
                keepPlace(&walk)
            }
        }
    }

    private var credit: Double { state.withLockedValue { $0.credit } }

    private var mayGoOn: Bool { state.withLockedValue { !$0.isStopped } }

    /// Looks at one chunk; false at the end of the pass.
    private func lookAtNext(_ walk: inout Walk) throws -> Bool {
        if walk.kept == nil {
            if walk.stored.isEmpty { walk.stored = try tiers.store.ids(after: progress.place.last)[...] }
            if let id = walk.stored.popFirst() {
                state.withLockedValue { $0.progress.place.last = id }
                note(try tiers.examineStored(id), id, &walk)
                return true
            }
            walk.kept = tiers.memory.ids[...]
        }
        guard let id = walk.kept?.popFirst() else { return false }
        note(tiers.memory.examine(id), id, &walk)
        return true
    }

    private func note(_ found: StoredChunk, _ id: ChunkID, _ walk: inout Walk) {
        var bytes = 0
        switch found {
        case .absent: break  // evicted since its name was read
        case .sound(let length): bytes = length
        case .dropped:
            bytes = ChunkLimits.sealedBytes
            walk.damagedInPass += 1
            // One line a pass, however much is damaged; the end of the pass says how much.
            logger.log(
                level: walk.damagedInPass == 1 ? .warning : .debug,
                "the scrub has found a damaged chunk and dropped it: clients fetch it again",
                metadata: ["chunk": "\(id)"])
        }
        let cost = Double(max(bytes, StoreLayout.pageBytes))
        let isBusy = tiers.isBusy
        state.withLockedValue { state in
            state.credit -= cost * (isBusy || state.areReadsMany ? Self.loadFactor : 1)
            state.progress.bytes += bytes
            state.progress.chunks += found == .absent ? 0 : 1
            state.progress.damaged += found == .dropped ? 1 : 0
        }
    }

    private func endPass(_ walk: inout Walk, at now: NIODeadline) {
        let seconds = SystemClock.milliseconds() / 1000
        state.withLockedValue { state in
            state.passBegins = now + Self.rest
            state.progress.passes += 1
            state.progress.place.last = ChunkID(.zero)
            state.progress.place.lastPass = UInt64(seconds)
        }
        if walk.damagedInPass > 0 {
            logger.warning("the scrub is through the store", metadata: ["damaged": "\(walk.damagedInPass)"])
        }
        walk.kept = nil
        walk.damagedInPass = 0
        keepPlace(&walk)
    }

    private func keepPlace() { walk.withLockedValue { keepPlace(&$0) } }

    private func keepPlace(_ walk: inout Walk) {
        let place = progress.place
        guard keepsPlace, place != walk.placeKept else { return }
        walk.placeKept = place
        do { try place.write(in: directory) } catch {
            logger.debug("the place of the scrub is not kept", metadata: ["error": "\(error)"])
        }
    }
}
