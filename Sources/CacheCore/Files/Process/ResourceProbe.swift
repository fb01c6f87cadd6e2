internal import Glibc

/// Tries out whether the process can get what it is going to need: what is short is found out before it is needed.
package enum ResourceProbe {
    /// There is not as much as was asked for.
    package struct Shortage: Error {
        /// How many there are.
        package let available: Int
        package let error: Errno
    }

    /// How many processors are running.
    package static var processors: Int { max(sysconf(Int32(_SC_NPROCESSORS_ONLN)), 1) }

    /// Whether a file can be read.
    package static func canRead(_ path: String) throws(Errno) {
        try retrying { access(path, R_OK) }
    }

    /// Has so many more files open for a moment.
    package static func openFiles(_ count: Int) throws(Shortage) {
        var made: [Int32] = []
        defer { made.forEach { close($0) } }
        while made.count < count {
            let number = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 0)
            guard number >= 0 else { throw Shortage(available: made.count, error: .current) }
            made.append(number)
        }
    }

    /// Maps so many bytes for a moment.
    /// - Parameter isWritable: to be written to, so that they count as memory of the process's own.
    package static func memory(_ bytes: Int, isWritable: Bool) throws(Errno) {
        let protection = isWritable ? PROT_READ | PROT_WRITE : PROT_NONE
        let room = mmap(nil, bytes, protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)
        guard room != MAP_FAILED else { throw Errno.current }
        munmap(room, bytes)
    }

    /// Starts so many threads, which wait for one another and end.
    package static func threads(_ count: Int) throws(Shortage) {
        var started: [pthread_t] = []
        var gate = pthread_mutex_t()
        pthread_mutex_init(&gate, nil)
        let number = withUnsafeMutablePointer(to: &gate) { gate -> Int32 in
            pthread_mutex_lock(gate)
            var number: Int32 = 0
            while started.count < count, number == 0 {
                var thread = pthread_t()
                number = pthread_create(
                    &thread, nil,
                    { gate in
                        guard let gate = gate?.assumingMemoryBound(to: pthread_mutex_t.self) else { return nil }
                        pthread_mutex_lock(gate)
                        pthread_mutex_unlock(gate)
                        return nil
                    }, gate)
                if number == 0 { started.append(thread) }
            }
            pthread_mutex_unlock(gate)
            for thread in started { pthread_join(thread, nil) }
            pthread_mutex_destroy(gate)
            return number
        }
        guard number == 0 else { throw Shortage(available: started.count, error: Errno(rawValue: number)) }
    }
}
