internal import Glibc
internal import Synchronization

/// Keeps the process alive when the kernel cannot give a page of a store's mapped files: the disk fails to read it, or
/// the file was cut off.
///
/// The kernel sends SIGBUS to the thread that touched the page, which ends the process. Here it gets zeros instead, and
/// ``isBroken`` says so before the first of them can be read: code that reads in a map looks at it afterwards, and
/// throws away what it has read. What was replaced stays so until the file is unmapped: an environment whose guard is
/// broken is of no use any more.
///
/// The handler is the process's; faults elsewhere go to the one that was there before.
package final class MapGuard: Sendable {
    /// A part of the process's address space.
    package struct Region: Sendable {
        /// On a page's border.
        package var start: UInt
        package var bytes: UInt

        package init(start: UInt, bytes: UInt) {
            self.start = start
            self.bytes = bytes
        }
    }

    private struct Place: ~Copyable {
        private let start = Atomic<UInt>(0)
        private let bytes = Atomic<UInt>(0)

        borrowing func set(_ region: Region) {
            // What has no length has no fault.
            bytes.store(0, ordering: .sequentiallyConsistent)
            start.store(region.start, ordering: .sequentiallyConsistent)
            bytes.store(region.bytes, ordering: .sequentiallyConsistent)
        }

        /// Bytes from `address` to the end; zero if it is not in here.
        borrowing func rest(_ address: UInt) -> UInt {
            let offset = address &- start.load(ordering: .acquiring)
            let count = bytes.load(ordering: .acquiring)
            return offset < count ? count - offset : 0
        }
    }

    private struct Slot: ~Copyable {
        let isTaken = Atomic<Bool>(false)
        let isBroken = Atomic<Bool>(false)
        /// All faults of that thread are of this guard: it opens or closes the files, wherever they are mapped. Zero
        /// for none.
        let thread = Atomic<UInt>(0)
        let data = Place()
        let lock = Place()

        borrowing func set(_ data: Region, _ lock: Region) {
            self.data.set(data)
            self.lock.set(lock)
        }
    }

    /// Stores that can be guarded at once: a process has one, tests that all run in one process have hundreds. The
    /// handler looks at all of them, once for a fault.
    private static let slotCount = 1024
    /// Replaced at once: where a page cannot be read its neighbours often cannot either, and each failure may take a
    /// disk long.
    private static let replacedBytes = UInt(1 << 20)
    private static let pageBytes = UInt(sysconf(Int32(_SC_PAGESIZE)))
    nonisolated(unsafe) private static let slots: UnsafeMutablePointer<Slot> = {
        let slots = UnsafeMutablePointer<Slot>.allocate(capacity: slotCount)
        for index in 0..<slotCount { (slots + index).initialize(to: Slot()) }
        return slots
    }()
    /// Written once, before the handler can be called.
    nonisolated(unsafe) private static var previous = sigaction()
    private static let isInstalled: Bool = install()

    private let slot: Int?

    /// Guards nothing yet. With too many guards, or where no handler can be installed, it never guards anything.
    package init() {
        slot =
            Self.isInstalled
            ? (0..<Self.slotCount).first { index in
                Self.slots[index].isTaken.compareExchange(expected: false, desired: true, ordering: .acquiring)
                    .exchanged
            } : nil
        if let slot { Self.slots[slot].isBroken.store(false, ordering: .releasing) }
    }

    deinit {
        guard let slot else { return }
        Self.slots[slot].set(Region(start: 0, bytes: 0), Region(start: 0, bytes: 0))
        Self.slots[slot].isTaken.store(false, ordering: .releasing)
    }

    /// Whether something that was read in the maps may have been zeros in place of what the files have.
    package var isBroken: Bool {
        guard let slot else { return false }
        return Self.slots[slot].isBroken.load(ordering: .acquiring)
    }

    /// From now on guards these parts of memory, until they are unmapped within ``mapping(_:)``.
    package func guards(data: Region, lock: Region) {
        if let slot { Self.slots[slot].set(data, lock) }
    }

    /// Runs what maps or unmaps the files, on this thread.
    package func mapping<R, E>(_ body: () throws(E) -> R) throws(E) -> R {
        guard let slot else { return try body() }
        Self.slots[slot].set(Region(start: 0, bytes: 0), Region(start: 0, bytes: 0))
        Self.slots[slot].thread.store(UInt(pthread_self()), ordering: .sequentiallyConsistent)
        defer { Self.slots[slot].thread.store(0, ordering: .sequentiallyConsistent) }
        return try body()
    }

    // MARK: The handler

    private static func install() -> Bool {
        // Made now: the handler may not wait for a lock.
        _ = (slots, pageBytes)
        var action = sigaction()
        action.sa_flags = SA_SIGINFO | SA_ONSTACK
        sigemptyset(&action.sa_mask)
        action.__sigaction_handler.sa_sigaction = { number, info, _ in
            let saved = errno
            if let info, !MapGuard.replace(info) { MapGuard.pass(number, info) }
            errno = saved
        }
        return sigaction(SIGBUS, &action, &previous) == 0
    }

    /// Puts zeros where the fault was; false if no guard has that address. Only calls what a handler of signals may.
    private static func replace(_ info: UnsafeMutablePointer<siginfo_t>) -> Bool {
        // Sent by a process with `kill`, and not the kernel's.
        guard info.pointee.si_code > 0 else { return false }
        let address = UInt(bitPattern: info.pointee._sifields._sigfault.si_addr)
        let page = address & ~(pageBytes - 1)
        for index in 0..<slotCount {
            let rest = max(slots[index].data.rest(page), slots[index].lock.rest(page))
            let isOwn = slots[index].thread.load(ordering: .acquiring) == UInt(pthread_self())
            guard rest > 0 || isOwn else { continue }
            slots[index].isBroken.store(true, ordering: .sequentiallyConsistent)
            let zeros = mmap(
                UnsafeMutableRawPointer(bitPattern: page), Int(min(max(rest, pageBytes), replacedBytes)),
                PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0)
            return zeros != MAP_FAILED
        }
        return false
    }

    /// Leaves it to who handled it before: the instruction faults again, and a signal that was sent is sent again.
    private static func pass(_ number: Int32, _ info: UnsafeMutablePointer<siginfo_t>) {
        sigaction(number, &previous, nil)
        if info.pointee.si_code <= 0 { raise(number) }
    }
}
