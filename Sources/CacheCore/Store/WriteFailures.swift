internal import CacheBase
internal import CacheFiles
internal import Logging
internal import NIOConcurrencyHelpers

/// What is known of a disk that refuses writes: from the first commit that failed until one succeeds.
///
/// A full or failing disk is told in the log once and waited out. Where it has room and still refuses, the file may be
/// what is broken.
final class WriteFailures: Sendable {
    private struct State {
        var isFailing = false
        /// The error with which the disk says that it has no room, asked for when writing began to fail; `nil` if it
        /// has room.
        var spaceError: Errno?
        /// Writes in a row that a disk with room has refused.
        var count = 0
        /// When it is told again that the store cannot grow, in nanoseconds of a clock that never stands still.
        var nextWarning: UInt64 = 0
    }

    /// Between two lines about a disk without room for the store to grow.
    private static let warningInterval: UInt64 = 600_000_000_000
    /// After so many writes in a row that a disk with room has refused the index is to be checked.
    private static let suspiciousCount = 8

    private let directory: StoreDirectory
    private let logger: Logger
    private let state = NIOLockedValueBox(State())

    init(_ directory: StoreDirectory, _ logger: Logger) {
        self.directory = directory
        self.logger = logger
    }

    /// Notes a commit that failed: the error for those who wait for it, and, once until a commit succeeds, why the
    /// files are suspect.
    func note(_ failure: LMDBFailure) -> (error: CacheError, suspicion: String?) {
        let (wasFailing, lack, failures) = state.withLockedValue { state in
            let wasFailing = state.isFailing
            state.isFailing = true
            if !wasFailing { state.spaceError = failure.isDiskFull ? directory.lackOfSpace() : nil }
            if state.spaceError == nil, failure.isDiskFull { state.count += 1 }
            return (wasFailing, state.spaceError, state.count)
        }
        let what = "write to the chunk store \(directory.path)"
        let error = lack.map { CacheError.system(what, $0) } ?? CacheError(.io, what, cause: failure)
        if !wasFailing { logger.warning("chunk store cannot write; reads go on", metadata: ["error": "\(error)"]) }
        guard lack == nil, failure.isDiskFull, failures == Self.suspiciousCount else { return (error, nil) }
        return (error, "\(failures) writes in a row failed: \(failure)")
    }

    /// Notes that a commit found no room on the disk, and is tried again with the room that the store has.
    func noteFullDisk(now: UInt64) {
        let isDue = state.withLockedValue { state in
            guard now >= state.nextWarning else { return false }
            state.nextWarning = now + Self.warningInterval
            return true
        }
        guard isDue else { return }
        logger.warning(
            "the disk is full: the chunk store goes on with the room that it has",
            metadata: ["directory": "\(directory.path)"])
    }

    /// Notes a commit that succeeded.
    func end() {
        let wasFailing = state.withLockedValue { state in
            state.count = 0
            defer { state.isFailing = false }
            return state.isFailing
        }
        if wasFailing { logger.info("chunk store can write again", metadata: ["directory": "\(directory.path)"]) }
    }
}
