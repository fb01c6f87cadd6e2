internal import CLinux
internal import Glibc

/// Ends the waits of many threads at once, and for good: an `eventfd(2)` that is raised and never lowered.
package final class Wakeup: Sendable {
    fileprivate let file: OpenFile

    package init() throws(Errno) {
        let number = try retrying { eventfd(0, Int32(EFD_CLOEXEC)) }
        file = OpenFile(adopting: Descriptor(rawValue: number), name: "a wakeup")
    }

    package func raise() throws(Errno) {
        var one: UInt64 = 1
        try withUnsafeBytes(of: &one) { bytes throws(Errno) in try file.descriptor.writeAll(bytes) }
    }
}

/// One thread's wait for a descriptor that does not block, which several threads wait for: what comes wakes one of
/// them, that which has waited for it longest in this process, and a ``Wakeup`` wakes all. `epoll(7)` with
/// EPOLLEXCLUSIVE; nobody wakes without a reason.
///
/// Whoever waits has read until there was nothing: only what comes after that is told.
package final class WakeableWait: Sendable {
    private let file: OpenFile
    private let wakeup: Wakeup
    private let queue: OpenFile

    /// - Parameter file: open with ``OpenFlags/nonBlocking``, or made so.
    package init(for file: OpenFile, until wakeup: Wakeup) throws(Errno) {
        self.file = file
        self.wakeup = wakeup
        let number = try retrying { epoll_create1(Int32(EPOLL_CLOEXEC)) }
        queue = OpenFile(adopting: Descriptor(rawValue: number), name: "a wait")
        try add(file, EPOLLIN.rawValue | EPOLLEXCLUSIVE.rawValue | EPOLLET.rawValue, number: 0)
        try add(wakeup.file, EPOLLIN.rawValue, number: 1)
    }

    private func add(_ file: OpenFile, _ events: UInt32, number: UInt64) throws(Errno) {
        var event = epoll_event(events: events, data: epoll_data_t(u64: number))
        try retrying { epoll_ctl(queue.descriptor.rawValue, EPOLL_CTL_ADD, file.descriptor.rawValue, &event) }
    }

    /// Blocks until something may have come.
    /// - Returns: false once the wakeup is raised.
    package func wait() throws(Errno) -> Bool {
        try withUnsafeTemporaryAllocation(of: epoll_event.self, capacity: 2) { events throws(Errno) in
            let count = try retrying { epoll_wait(queue.descriptor.rawValue, events.baseAddress, 2, -1) }
            return !events[..<Int(count)].contains { $0.data.u64 == 1 }
        }
    }
}
