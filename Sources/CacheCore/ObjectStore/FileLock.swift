internal import Glibc

/// An advisory lock (`flock`) on an open file; the system gives it back when its holder dies, however that happens.
enum FileLock {
    /// Takes the lock for itself alone; blocks while another has it, up to `seconds`.
    ///
    /// - Parameter path: for the error.
    static func lock(_ file: OwnedDescriptor, path: String, seconds: Int = 30) throws {
        // flock knows no deadline, and a stopped process must not stop all others for ever.
        var pause: UInt32 = 500
        let deadline = FileTime.monotonic() + Int64(seconds) * 1_000_000_000
        while !(try attempt(file, path: path)) {
            guard FileTime.monotonic() < deadline else {
                throw CacheError(
                    .timedOut, "another process has held the lock \(path) for \(seconds) s: see who it is with fuser")
            }
            usleep(pause)
            pause = min(pause * 2, 20_000)
        }
    }

    /// Takes the lock if nobody has it.
    static func attempt(_ file: OwnedDescriptor, path: String) throws -> Bool {
        while flock(file.number, LOCK_EX | LOCK_NB) != 0 {
            switch errno {
            case EINTR: continue
            case EWOULDBLOCK: return false
            default: throw CacheError.system("lock \(path)")
            }
        }
        return true
    }

    static func unlock(_ file: OwnedDescriptor) {
        // It cannot fail for a descriptor that holds the lock.
        _ = flock(file.number, LOCK_UN)
    }
}
