internal import CacheCore
internal import Logging
internal import NIOConcurrencyHelpers
internal import NIOCore
internal import NIOPosix
internal import Synchronization

/// What this host has seen of refs, kept beside L1's chunks for the time when L3 is away.
///
/// Nothing that its disk does can fail an image's opening, or hold it up for longer than L1's deadline.
final class RememberedRefs: Sendable {
    private let file: RefFile
    private let thread = NIOThreadPool(numberOfThreads: 1)
    private let deadline: Duration
    private let deadlines: Deadlines
    private let logger: Logger
    private let now: @Sendable () -> UInt64
    private let hasWarned = Atomic<Bool>(false)
    /// A disk that did not answer once is not asked again: all that is lost is a memory.
    private let isAway = Atomic<Bool>(false)
    private let running = NIOLockedValueBox<[UInt64: Task<Void, Never>]>([:])
    private let numbers = Atomic<UInt64>(0)

    /// - Parameters:
    ///   - deadline: how long one look at the file may take.
    ///   - now: milliseconds since 1970.
    init(
        directory: String, capacity: UInt64, deadline: Duration, deadlines: Deadlines,
        now: @escaping @Sendable () -> UInt64, logger: Logger
    ) {
        file = RefFile(directory: directory, capacity: capacity)
        self.deadline = deadline
        self.deadlines = deadlines
        self.now = now
        self.logger = logger
        thread.start()
    }

    deinit {
        // Not waited for: a disk that hangs keeps it.
        thread.shutdownGracefully { _ in }
    }

    /// What the host saw last; `nil` if it has not seen the reference, or cannot tell. Throws only if the task is cancelled.
    func find(_ reference: ImageReference, _ keys: TenantKeys) async throws -> RememberedRef? {
        let name = RememberedRef.Name(of: reference, keys: keys)
        return try await ask("read") { [file] in
            // What another process was writing just then is whole once that holds the lock no longer.
            do { return try Self.decode(try file.find(name), name, keys) } catch {
                do { return try Self.decode(try file.findLocked(name), name, keys) } catch let error as CacheError
                    where error.code == .corrupt
                {
                    try file.remove(name, seenUpTo: .max)
                    throw error
                }
            }
        } ?? nil
    }

    /// - Throws: `.corrupt` for a record that is damaged, or if there is none but something that may have been it.
    private static func decode(
        _ found: RefFile.Found, _ name: RememberedRef.Name, _ keys: TenantKeys
    ) throws -> RememberedRef? {
        switch found {
        case .record(let record):
            return try record.withUnsafeReadableBytes { try RememberedRef(decoding: $0, as: name, keys: keys) }
        case .none(damaged: 0): return nil
        case .none(let damaged): throw CacheError(.corrupt, "\(damaged) records are damaged")
        }
    }

    /// Keeps what L3 said, beside the caller.
    func remember(_ reference: ImageReference, _ ref: RememberedRef, _ keys: TenantKeys) {
        let name = RememberedRef.Name(of: reference, keys: keys)
        let record = ref.encoded(as: name, keys: keys)
        beside { [file, now] in try file.put(record, name, seenAt: ref.seenAt, now: now()) }
    }

    /// L3 says that there is no such reference any more, and is believed.
    func forget(_ reference: ImageReference, seenUpTo seenAt: UInt64, _ keys: TenantKeys) {
        let name = RememberedRef.Name(of: reference, keys: keys)
        beside { [file] in try file.remove(name, seenUpTo: seenAt) }
    }

    /// Waits until all that is to be kept is, or its time is over.
    func drain() async {
        while let task = running.withLockedValue({ $0.values.first }) { await task.value }
    }

    private func beside(_ operation: @escaping @Sendable () throws -> Void) {
        let number = numbers.add(1, ordering: .relaxed).newValue
        running.withLockedValue { running in
            running[number] = Task {
                // Nobody cancels this task, and all else has been logged.
                _ = try? await self.ask("write", operation)
                _ = self.running.withLockedValue { $0.removeValue(forKey: number) }
            }
        }
    }

    /// `nil` if it fails or is late, which is logged. Throws only if the task is cancelled.
    private func ask<T: Sendable>(_ what: String, _ operation: @escaping @Sendable () throws -> T) async throws -> T? {
        guard !isAway.load(ordering: .relaxed) else { return nil }
        do {
            return try await deadlines.run(deadline, "the file of remembered refs") { [thread] in
                try await thread.runIfActive { try operation() }
            }
        } catch {
            if Task.isCancelled { throw CancellationError() }
            let code = (error as? CacheError)?.code
            if code == .timedOut { isAway.store(true, ordering: .relaxed) }
            // A disk that is full or cannot be written to says so for each image; that a memory is gone is said once.
            let isWorthAWarning = what == "read" && !hasWarned.exchange(true, ordering: .relaxed)
            logger.log(
                level: isWorthAWarning ? .warning : .debug, "what L1 remembers of refs is not used",
                metadata: ["file": "\(file.path)", "reason": "\(error)"])
            return nil
        }
    }
}
