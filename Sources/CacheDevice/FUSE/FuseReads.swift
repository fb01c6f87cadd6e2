internal import CacheClient
internal import CacheCore
internal import CacheFiles
internal import Logging
internal import NIOConcurrencyHelpers
internal import NIOCore

/// The reads that memory could not answer at once: those whose bytes are on the disk or must come from afar, and those
/// of devices that are not open yet.
///
/// Each is answered exactly once: with its bytes, or with an error when the device has one, when its time is over, when
/// its reader dies or when its device goes. What a device does after that is thrown away; it is cancelled, and never
/// waited for. For each device so many reads are under way at the same time; those beyond wait for their turn, and
/// their time runs.
final class FuseReads: Sendable {
    /// One READ.
    struct Read: Sendable {
        let unique: UInt64
        let thread: UInt32
        let number: UInt64
        let offset: UInt64
        let count: Int
        let channel: FuseChannel
    }

    private struct Pending {
        let read: Read
        let start: Duration
        var alarm: Deadlines.Alarm?
        var task: Task<Void, Never>?
        /// Whether it is in its device's line, or was.
        var isBrought = false
    }

    /// The reads of one device.
    private struct Line {
        var device: (any BlockDevice)?
        var underWay = 0
        var waiting = CircularBuffer<UInt64>()
    }

    private struct State {
        var pending: [UInt64: Pending] = [:]
        var lines: [UInt64: Line] = [:]
        var failed = FailedReads()
        /// When a failure is told again.
        var nextWarning = Duration.zero
        var isStopped = false
    }

    private let state = NIOLockedValueBox(State())
    private let deadline: Duration
    private let deadlines: Deadlines
    private let time: TimeSource
    private let logger: Logger
    /// A disk that takes longer may be one that hangs.
    private static let diskPatience = Duration.milliseconds(250)
    /// Between two lines of failures: there can be thousands.
    private static let warningInterval = Duration.seconds(10)

    init(deadline: Duration, time: TimeSource, logger: Logger) {
        self.deadline = deadline
        self.time = time
        self.logger = logger
        deadlines = Deadlines(time: time)
    }

    /// Reads that wait for their answer.
    var count: Int { state.withLockedValue { $0.pending.count } }

    /// A device is expected, or is there.
    func open(_ number: UInt64, _ device: (any BlockDevice)?) {
        state.withLockedValue { $0.lines[number, default: Line()].device = device }
        startNext(number)
    }

    /// Takes a read over: looks on the disk, on this thread, and has the bytes brought from afar if they are not there,
    /// or if that takes long.
    /// - Parameter device: `nil` while it is not open yet.
    func submit(_ read: Read, from device: (any BlockDevice)?) {
        guard register(read) else { return }
        if let device, let buffers = fromDisk(read, device) { return finish(read.unique, buffers, of: read.count) }
        bring(read.unique)
    }

    private func fromDisk(_ read: Read, _ device: any BlockDevice) -> [ByteBuffer]? {
        let alarm = deadlines.after(Self.diskPatience) { [unique = read.unique] in self.bring(unique) }
        defer { deadlines.cancel(alarm) }
        // What the disk cannot give comes from another tier; if there is none, the error comes again.
        return try? device.cached(at: read.offset, count: read.count, reach: .disk)
    }

    /// Has the bytes of a read brought from afar, unless they are on their way or it is over.
    private func bring(_ unique: UInt64) {
        let now = time.now()
        let taken = state.withLockedValue { state -> (number: UInt64, hasLine: Bool)? in
            guard let pending = state.pending[unique], !pending.isBrought else { return nil }
            let number = pending.read.number
            guard state.lines[number] != nil, !state.failed.covers(pending.read, now: now) else {
                return (number, false)
            }
            state.pending[unique]?.isBrought = true
            state.lines[number]?.waiting.append(unique)
            return (number, true)
        }
        guard let taken else { return }
        if taken.hasLine { startNext(taken.number) } else { end(unique, .ioError) }
    }

    /// The time of a read begins.
    /// - Returns: false if it is over already: there are too many, or all is stopped and the read is the next one's.
    private func register(_ read: Read) -> Bool {
        let now = time.now()
        let isTaken = state.withLockedValue { state -> Bool? in
            if state.isStopped { return nil }
            guard state.pending.count < FuseLimits.waitingReads, state.pending[read.unique] == nil else { return false }
            state.pending[read.unique] = Pending(read: read, start: now)
            return true
        }
        if isTaken == false { read.channel.answer(read.unique, .ioError) }
        guard isTaken == true else { return false }
        let alarm = deadlines.after(deadline) {
            self.end(read.unique, .ioError, because: "there was no answer within \(self.deadline)")
        }
        let isWanted = state.withLockedValue { state in
            state.pending[read.unique]?.alarm = alarm
            return state.pending[read.unique] != nil
        }
        if !isWanted { deadlines.cancel(alarm) }
        return true
    }

    /// The thread that waits for the answer got a signal. One that dies of it wants no bytes any more; for others the
    /// read goes on, because an interrupted read of a file is an error that no program expects. The kernel tells of the
    /// first signal only, so such a thread is looked after until its read ends.
    func interrupt(_ unique: UInt64) {
        guard let thread = state.withLockedValue({ $0.pending[unique]?.read.thread }) else { return }
        if ThreadSignals(of: thread)?.isDying ?? false { return end(unique, .interrupted) }
        _ = deadlines.after(.milliseconds(100)) { self.interrupt(unique) }
    }

    /// Answers all reads of a device with an error.
    func close(_ number: UInt64) {
        let uniques = state.withLockedValue { state in
            state.lines[number] = nil
            return state.pending.filter { $0.value.read.number == number }.map(\.key)
        }
        for unique in uniques { end(unique, .ioError) }
    }

    /// Gives all reads up without an answer: the next process is sent them again, or the kernel ends them when the
    /// connection closes.
    func stop() {
        let left = state.withLockedValue { state in
            defer { (state.pending, state.lines, state.isStopped) = ([:], [:], true) }
            return Array(state.pending.values)
        }
        for pending in left {
            if let alarm = pending.alarm { deadlines.cancel(alarm) }
            pending.task?.cancel()
        }
    }

    // MARK: One read after the other

    private func startNext(_ number: UInt64) {
        while let (read, device) = next(number) {
            let task = Task {
                do {
                    let buffers = try await device.read(at: read.offset, count: read.count)
                    self.finish(read.unique, buffers, of: read.count)
                } catch {
                    self.end(read.unique, .ioError, because: "\(error)")
                }
                self.state.withLockedValue { $0.lines[number]?.underWay -= 1 }
                self.startNext(number)
            }
            let isWanted = state.withLockedValue { state in
                state.pending[read.unique]?.task = task
                return state.pending[read.unique] != nil
            }
            // Over already; or given up meanwhile, by who could not cancel it.
            if !isWanted { task.cancel() }
        }
    }

    private func next(_ number: UInt64) -> (read: Place, device: any BlockDevice)? {
        state.withLockedValue { state in
            guard var line = state.lines[number], let device = line.device else { return nil }
            defer { state.lines[number] = line }
            while line.underWay < FuseLimits.readsUnderWay, let unique = line.waiting.popFirst() {
                // Those that ended while they waited are in the line still.
                guard let read = state.pending[unique]?.read else { continue }
                line.underWay += 1
                return (Place(unique: unique, offset: read.offset, count: read.count), device)
            }
            return nil
        }
    }

    /// What a task knows of its read: not the channel, which must be closed when all is stopped, whatever hangs.
    private struct Place {
        let unique: UInt64
        let offset: UInt64
        let count: Int
    }

    private func finish(_ unique: UInt64, _ buffers: [ByteBuffer], of count: Int) {
        // A short answer would be the end of the file.
        guard buffers.reduce(0, { $0 + $1.readableBytes }) == count else {
            return end(unique, .ioError, because: "its device gave too few bytes")
        }
        guard let pending = take(unique) else { return }
        // The other way to the same bytes.
        pending.task?.cancel()
        pending.read.channel.answer(unique, with: buffers)
    }

    /// - Parameter reason: what who runs the worker should know.
    private func end(_ unique: UInt64, _ error: Errno, because reason: String? = nil) {
        guard let pending = take(unique) else { return }
        pending.task?.cancel()
        if let reason { warn(reason) }
        if error == .ioError {
            let now = time.now()
            state.withLockedValue { $0.failed.add(pending.read, after: now - pending.start, now: now) }
        }
        pending.read.channel.answer(unique, error)
    }

    private func warn(_ reason: String) {
        let now = time.now()
        let isDue = state.withLockedValue { state in
            guard now >= state.nextWarning else { return false }
            state.nextWarning = now + Self.warningInterval
            return true
        }
        logger.log(
            level: isDue ? .warning : .debug, "a read of an image failed: its reader gets EIO",
            metadata: ["error": "\(reason)"])
    }

    /// Whoever takes it answers it.
    private func take(_ unique: UInt64) -> Pending? {
        guard let pending = state.withLockedValue({ $0.pending.removeValue(forKey: unique) }) else { return nil }
        if let alarm = pending.alarm { deadlines.cancel(alarm) }
        return pending
    }
}
