import CacheCore
import NIOCore

/// What a process needs of its machine before it starts: below that, the runtime and the network library end it with a
/// trap instead of an error, or wait for ever. So it is tried out first, and what is short is said in one line.
enum Machine {
    /// Descriptors beside the standard ones: event loops (three each), the stores' files, what a verb reads and writes,
    /// and a few to spare for the runtime, which opens files now and then and cannot bear it if that fails.
    private static let descriptors = 48
    /// Threads at the same time: of the stores, of a verb, of the runtime.
    private static var threads: Int { 20 + 5 * cores }
    private static var cores: Int { ResourceProbe.processors }
    /// Event loops of a client: the connections to one L2 daemon share one.
    private static let mostLoops = 4
    /// Address space beside what is mapped by now: stacks and arenas of threads, chunks under way. A map of L1 that
    /// finds no room is left out.
    private static let addressBytes = 512 << 20
    /// Of that, what is written to; all of a stack counts.
    private static let dataBytes = 256 << 20

    /// Raises what limits the process may raise itself, and throws ``CacheError`` for what is still too little.
    static func prepare() throws {
        // Nothing here goes by what descriptors there could be, as `select` does.
        ResourceLimit.openFiles.raise()
        if ResourceLimit.addressSpace.soft != nil { Allocator.limitArenas() }
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
        min(usual, max((ResourceLimit.mostOpenFiles - descriptors) / (4 * max(daemons, 1)), 1))
    }

    /// The runtime's pool of threads looks at itself there.
    private static func checkProc() throws {
        try reporting("read /proc/self/stat, which a process needs: mount /proc") { () throws(Errno) in
            try ResourceProbe.canRead("/proc/self/stat")
        }
    }

    private static func checkDescriptors(_ count: Int) throws {
        do throws(ResourceProbe.Shortage) {
            try ResourceProbe.openFiles(count)
        } catch {
            throw CacheError.system(
                "open files: \(error.available) more can be open, \(count) are needed: raise the limit (ulimit -n)",
                error.error)
        }
    }

    private static func checkAddressSpace() throws {
        try checkAddressSpace(addressBytes)
        try checkRoom(dataBytes, .data, isWritable: true, "memory of its own", "ulimit -d")
    }

    /// Whether a map of so many bytes leaves the address space that a verb needs.
    static func hasRoom(forMapOf bytes: UInt64) -> Bool {
        do {
            try checkAddressSpace(addressBytes + Int(clamping: bytes))
            return true
        } catch {
            return false
        }
    }

    private static func checkAddressSpace(_ bytes: Int) throws {
        try checkRoom(bytes, .addressSpace, isWritable: false, "address space", "ulimit -v")
    }

    private static func checkRoom(
        _ bytes: Int, _ limit: ResourceLimit, isWritable: Bool, _ what: String, _ command: String
    ) throws {
        // Without a limit there is room.
        guard let most = limit.soft else { return }
        try reporting(
            "find \(bytes.inBytes) of \(what): raise the limit (\(command), now \(most.inBytes))"
        ) { () throws(Errno) in try ResourceProbe.memory(bytes, isWritable: isWritable) }
    }

    private static func checkThreads(_ count: Int) throws {
        do throws(ResourceProbe.Shortage) {
            try ResourceProbe.threads(count)
        } catch {
            throw CacheError.system(
                "start threads: \(error.available) more can run, \(count) are needed: raise the limit (ulimit -u, "
                    + "pids.max, ulimit -v)",
                error.error)
        }
    }
}
