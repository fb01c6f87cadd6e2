internal import CacheCore
internal import Logging
internal import NIOConcurrencyHelpers
internal import NIOCore
internal import NIOPosix
internal import Synchronization

/// What this host has seen of refs, kept beside L1's chunks for the time when L3 is away.
///
/// Nothing that its disk does can fail an image's opening: what a look at it costs is a part of what L1 may cost.
final class RememberedRefs: Sendable {
    private let file: RefFile
    private let thread = NIOThreadPool(numberOfThreads: 1)
    private let l1: L1Tier?
    private let deadlines: Deadlines
    private let logger: Logger
    private let now: @Sendable () -> UInt64
    private let hasWarned = Atomic<Bool>(false)
    private let running = NIOLockedValueBox<[UInt64: Task<Void, Never>]>([:])
    private let numbers = Atomic<UInt64>(0)

    /// - Parameters:
    ///   - l1: the store in the same directory; `nil` if it cannot be used, which says little about this file.
    ///   - now: milliseconds since 1970.
    init(
        directory: String, capacity: UInt64, l1: L1Tier?, deadlines: Deadlines,
        now: @escaping @Sendable () -> UInt64, logger: Logger
    ) {
        file = RefFile(directory: directory, capacity: capacity)
        self.l1 = l1
        self.deadlines = deadlines
        self.now = now
        self.logger = logger
        thread.start()
    }

    deinit {
        // Not waited for: a disk that hangs keeps it.
        thread.shutdownGracefully { _ in }
    }

    /// What the host saw last; `nil` if it has not seen the reference, or cannot tell. Throws only if the task is
    /// cancelled.
    func find(_ reference: ImageReference, _ keys: TenantKeys) async throws -> RememberedRef? {
        try await find(RememberedRef.Name(of: reference, keys: keys), keys)
    }

    /// The same of what else is remembered.
    func find(_ name: RememberedRef.Name, _ keys: TenantKeys) async throws -> RememberedRef? {
        let look: @Sendable () async throws -> Result<RememberedRef?, any Error> = { [file, thread] in
            try await thread.runIfActive { Result { try Self.find(name, keys, in: file) } }
        }
        let found: Result<RememberedRef?, any Error>?
        if let l1 {
            found = l1.isLeftAlone ? nil : try await l1.ask("remembered refs", look)
        } else {
            do { found = try await deadlines.run(L1Tier.free, "the file of remembered refs", look) } catch {
                if Task.isCancelled { throw CancellationError() }
                found = .failure(error)
            }
        }
        do { return try found?.get() } catch {
            // Where L1 cannot be used either there is a line already, and mostly one cause.
            note(error, l1 == nil || hasWarned.exchange(true, ordering: .relaxed) ? .debug : .warning)
            return nil
        }
    }

    /// Blocks.
    private static func find(
        _ name: RememberedRef.Name, _ keys: TenantKeys, in file: RefFile
    ) throws -> RememberedRef? {
        do { return try decode(try file.find(name), name, keys) } catch {
            // What another process was writing just then is whole once that holds the lock no longer.
            do { return try decode(try file.findLocked(name), name, keys) } catch let error as CacheError
                where error.code == .corrupt
            {
                try file.remove(name, seenUpTo: .max)
                throw error
            }
        }
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
        remember(RememberedRef.Name(of: reference, keys: keys), ref, keys)
    }

    func remember(_ name: RememberedRef.Name, _ ref: RememberedRef, _ keys: TenantKeys) {
        let record = ref.encoded(as: name, keys: keys)
        beside { [file, now] in try file.put(record, name, seenAt: ref.seenAt, now: now()) }
    }

    /// L3 says that there is no such reference any more, and is believed.
    func forget(_ reference: ImageReference, seenUpTo seenAt: UInt64, _ keys: TenantKeys) {
        let name = RememberedRef.Name(of: reference, keys: keys)
        beside { [file] in try file.remove(name, seenUpTo: seenAt) }
    }

    /// Waits until all that is to be kept is.
    func drain() async {
        while let task = running.withLockedValue({ $0.values.first }) { await task.value }
    }

    /// The same, but no longer than L1 may be waited for.
    func close() async {
        if running.withLockedValue({ $0.isEmpty }) { return }
        do {
            let wait = l1?.waitForRead ?? L1Tier.free
            try await deadlines.run(wait, "the file of remembered refs") { await self.drain() }
        } catch {
            note(error, .debug)
        }
    }

    private func beside(_ operation: @escaping @Sendable () throws -> Void) {
        let number = numbers.add(1, ordering: .relaxed).newValue
        running.withLockedValue { running in
            running[number] = Task {
                // A disk that is full or cannot be written to says so for each image.
                do { try await self.thread.runIfActive { try operation() } } catch { self.note(error, .debug) }
                _ = self.running.withLockedValue { $0.removeValue(forKey: number) }
            }
        }
    }

    private func note(_ error: any Error, _ level: Logger.Level) {
        logger.log(
            level: level, "what L1 remembers of refs is not used",
            metadata: ["file": "\(file.path)", "reason": "\(error)"])
    }
}
