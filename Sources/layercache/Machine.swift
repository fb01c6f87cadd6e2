import CacheCore
import Glibc
import NIOCore

/// What a process needs of its machine before it starts: below that, the runtime and the network library end it with a trap instead of an
/// error, or wait for ever. So it is tried out first, and what is short is said in one line.
enum Machine {
    /// Descriptors beside the standard ones: event loops (three each), the stores' files, what a verb reads and writes, and a few to spare for
    /// the runtime, which opens files now and then and cannot bear it if that fails.
    private static let descriptors = 48
    /// Threads at the same time: of the stores, of a verb, of the runtime.
    private static var threads: Int { 20 + 5 * cores }
    private static var cores: Int { max(sysconf(Int32(_SC_NPROCESSORS_ONLN)), 1) }
    /// Event loops of a client: the connections to one L2 daemon share one.
    private static let mostLoops = 4
    /// Address space beside what is mapped by now: stacks and arenas of threads, chunks under way. A map of L1 that finds no room is left out.
    private static let addressBytes = 512 << 20
    /// Of that, what is written to; all of a stack counts.
    private static let dataBytes = 256 << 20

    /// Raises what limits the process may raise itself, and throws ``CacheError`` for what is still too little.
    static func prepare() throws {
        DescriptorLimit.raise()
        NIOSingletons.groupLoopCountSuggestion = min(cores, mostLoops)
        try checkProc()
        try require(descriptors: descriptors, threads: threads)
        try checkAddressSpace()
    }

    /// That there can be so many more at the same time, for a verb that is told to use many.
    static func require(descriptors: Int, threads: Int) throws {
        try checkDescriptors(descriptors)
        try checkThreads(threads)
    }

    /// Connections to each of so many L2 daemons: fewer where there are few descriptors for them.
    static func l2Connections(_ usual: Int, daemons: Int) -> Int {
        min(usual, max((DescriptorLimit.current - descriptors) / (4 * max(daemons, 1)), 1))
    }

    /// The runtime's pool of threads looks at itself there.
    private static func checkProc() throws {
        guard access("/proc/self/stat", R_OK) == 0 else {
            throw CacheError.system("read /proc/self/stat, which a process needs: mount /proc")
        }
    }

    private static func checkDescriptors(_ count: Int) throws {
        var made: [Int32] = []
        defer { made.forEach { close($0) } }
        while made.count < count {
            let number = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 0)
            guard number >= 0 else {
                throw CacheError.system(
                    "open files: \(made.count) more can be open, \(count) are needed: raise the limit (ulimit -n)"
                )
            }
            made.append(number)
        }
    }

    private static func checkAddressSpace() throws {
        try checkRoom(addressBytes, RLIMIT_AS, PROT_NONE, "address space", "ulimit -v")
        try checkRoom(dataBytes, RLIMIT_DATA, PROT_READ | PROT_WRITE, "memory of its own", "ulimit -d")
    }

    /// Whether a map of so many bytes leaves the address space that a verb needs.
    static func hasRoom(forMapOf bytes: UInt64) -> Bool {
        do {
            try checkRoom(addressBytes + Int(clamping: bytes), RLIMIT_AS, PROT_NONE, "address space", "ulimit -v")
            return true
        } catch {
            return false
        }
    }

    private static func checkRoom(
        _ bytes: Int, _ resource: __rlimit_resource, _ protection: Int32, _ what: String, _ command: String
    ) throws {
        // Without a limit there is room.
        var limit = rlimit()
        guard getrlimit(__rlimit_resource_t(resource.rawValue), &limit) == 0, limit.rlim_cur != rlim_t.max else {
            return
        }
        let room = mmap(nil, bytes, protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)
        guard room != MAP_FAILED else {
            throw CacheError.system(
                "find \(bytes.inBytes) of \(what): raise the limit (\(command), now \(Int(clamping: limit.rlim_cur).inBytes))"
            )
        }
        munmap(room, bytes)
    }

    /// Starts as many as are needed, which wait for one another.
    private static func checkThreads(_ count: Int) throws {
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
        guard number == 0 else {
            throw CacheError.system(
                "start threads: \(started.count) more can run, \(count) are needed: raise the limit (ulimit -u, pids.max, ulimit -v)",
                number
            )
        }
    }
}
