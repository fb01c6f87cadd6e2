package import CacheBase
internal import Glibc

/// An advisory lock on an open file, `flock(2)`; the system gives it back when its holder dies, however that happens.
///
/// It belongs to what was opened: a file that is opened twice can be locked once.
package enum FileLock {
    package enum Mode: Sendable {
        /// For one alone.
        case exclusive
        /// Together with others that share it.
        case shared
    }

    /// Takes the lock for itself alone, or gives up: flock knows no deadline, and a stopped process must not stop all
    /// others for ever.
    ///
    /// - Parameters:
    ///   - file: the lock file, open for reading at least.
    ///   - path: for the error.
    ///   - patience: how long another one may hold it.
    ///   - wait: the clock.
    /// - Throws: `.timedOut` that names the path; `CancellationError` when the result is not wanted any more; `.io`.
    package static func lock(
        _ file: Descriptor, path: String, within patience: Duration = .seconds(30), wait: BlockingWait = .system
    ) throws {
        guard try take(file, path: path, within: patience, wait: wait) else {
            throw CacheError(
                .timedOut, "another process has held the lock \(path) for \(patience): see who it is with fuser")
        }
    }

    /// As ``lock(_:path:within:wait:)``, but for callers with an error of their own: false when their time is over, or
    /// they gave up.
    /// - Parameter isGivenUp: asked at each turn of the wait.
    package static func take(
        _ file: Descriptor, path: String, within patience: Duration, wait: BlockingWait = .system,
        unless isGivenUp: () -> Bool = { false }
    ) throws -> Bool {
        try wait.first(within: patience) {
            if try attempt(file, path: path) { return true }
            return isGivenUp() ? false : nil
        } ?? false
    }

    /// Takes the lock if that needs no wait.
    /// - Returns: false if another one holds it.
    package static func attempt(
        _ file: Descriptor, _ mode: Mode = .exclusive, path: String
    ) throws(CacheError) -> Bool {
        try reporting("lock \(path)") { () throws(Errno) in try attempt(file, mode) }
    }

    /// The same with the bare error, for what goes on without locks where a filesystem has none.
    package static func attempt(_ file: Descriptor, _ mode: Mode) throws(Errno) -> Bool {
        do throws(Errno) {
            try retrying { flock(file.rawValue, (mode == .shared ? LOCK_SH : LOCK_EX) | LOCK_NB) }
            return true
        } catch .wouldBlock {
            return false
        }
    }

    package static func unlock(_ file: Descriptor) {
        // It cannot fail for a descriptor that holds the lock.
        _ = flock(file.rawValue, LOCK_UN)
    }
}
