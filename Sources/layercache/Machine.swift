import CacheCore
import Glibc

/// What a process needs of its machine before it starts: below that, the runtime and the network library end it with a trap instead of an
/// error, or wait for ever. So it is tried out first, and what is short is said in one line.
enum Machine {
    /// Descriptors beside the standard ones: event loops (three each), the stores' files, what a verb reads and writes, and a few to spare for
    /// the runtime, which opens files now and then and cannot bear it if that fails.
    private static let descriptors = 40
    /// Threads at the same time: of the stores, of a verb, of the runtime.
    private static var threads: Int { 24 + 3 * max(sysconf(Int32(_SC_NPROCESSORS_ONLN)), 1) }
    /// Address space beside what is mapped by now: stacks and arenas of threads, chunks under way. A map of L1 that finds no room is left out.
    private static let addressBytes = 512 << 20

    /// Raises what limits the process may raise itself, and throws ``CacheError`` for what is still too little.
    static func prepare() throws {
        DescriptorLimit.raise()
        try checkProc()
        try checkDescriptors()
        try checkAddressSpace()
        try checkThreads()
    }

    /// The runtime's pool of threads looks at itself there.
    private static func checkProc() throws {
        guard access("/proc/self/stat", R_OK) == 0 else {
            throw CacheError.system("read /proc/self/stat, which a process needs: mount /proc")
        }
    }

    private static func checkDescriptors() throws {
        var made: [Int32] = []
        defer { made.forEach { close($0) } }
        while made.count < descriptors {
            let number = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 0)
            guard number >= 0 else {
                throw CacheError.system(
                    "open files: \(made.count) more can be open, \(descriptors) are needed: raise the limit (ulimit -n)"
                )
            }
            made.append(number)
        }
    }

    private static func checkAddressSpace() throws {
        // Without a limit there is room.
        var limit = rlimit()
        guard getrlimit(__rlimit_resource_t(RLIMIT_AS.rawValue), &limit) == 0, limit.rlim_cur != rlim_t.max else {
            return
        }
        let room = mmap(nil, addressBytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)
        guard room != MAP_FAILED else {
            throw CacheError.system(
                "find \(addressBytes.inBytes) of address space: raise the limit (ulimit -v, now \(Int(clamping: limit.rlim_cur).inBytes))"
            )
        }
        munmap(room, addressBytes)
    }

    /// Starts as many as are needed, which wait for one another.
    private static func checkThreads() throws {
        var started: [pthread_t] = []
        var gate = pthread_mutex_t()
        pthread_mutex_init(&gate, nil)
        let count = threads
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
        guard number == 0 else {
            throw CacheError.system(
                "start threads: \(started.count) more can run, \(count) are needed: raise the limit (ulimit -u, pids.max, ulimit -v)",
                number
            )
        }
    }
}
