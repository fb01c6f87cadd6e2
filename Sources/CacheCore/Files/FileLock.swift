internal import CacheBase
internal import Glibc

/// An advisory lock (`flock`) on an open file; the system gives it back when its holder dies, however that happens.
package enum FileLock {
    /// Takes the lock for itself alone, or gives up: flock knows no deadline, and a stopped process must not stop all others for ever.
    ///
    /// - Parameters:
    ///   - file: a descriptor of the lock file, open for reading at least.
    ///   - path: for the error.
    ///   - patience: how long another one may hold it.
    ///   - wait: the clock.
    /// - Throws: `.timedOut` that names the path; `CancellationError` when nobody wants the lock any more; `.io`.
    package static func lock(
        _ file: Int32, path: String, within patience: Duration = .seconds(30), wait: BlockingWait = .system
    ) throws {
        let taken = try wait.first(within: patience) { try attempt(file, path: path) ? true : nil }
        guard taken != nil else {
            throw CacheError(
                .timedOut, "another process has held the lock \(path) for \(patience): see who it is with fuser")
        }
    }

    /// Takes the lock if nobody has it.
    package static func attempt(_ file: Int32, path: String) throws -> Bool {
        while flock(file, LOCK_EX | LOCK_NB) != 0 {
            switch errno {
            case EINTR: continue
            case EWOULDBLOCK: return false
            default: throw CacheError.system("lock \(path)")
            }
        }
        return true
    }

    package static func unlock(_ file: Int32) {
        // It cannot fail for a descriptor that holds the lock.
        _ = flock(file, LOCK_UN)
    }
}
