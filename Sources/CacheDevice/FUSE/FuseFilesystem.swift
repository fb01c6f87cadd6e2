package import CacheClient
package import CacheCore
package import CacheFiles
package import Logging
internal import NIOConcurrencyHelpers
internal import NIOPosix

/// One FUSE filesystem: a directory with one read-only file for each open device, spoken to the kernel directly.
///
/// Threads of its own read requests. What memory or the local disk has is answered by the thread that read the request,
/// straight from the memory that the bytes lie in; a read whose bytes must come from afar leaves the thread
/// (``FuseReads``). While nothing is asked, nothing runs.
///
/// The process may die and another go on with the same descriptors, if somebody else holds them meanwhile: the mount
/// stays, readers wait, and ``resendPending()`` has the kernel ask again. Therefore nothing is unmounted here.
package final class FuseFilesystem: Sendable {
    /// What the filesystem tells whoever runs it, from its own threads.
    package struct Events: Sendable {
        /// The mount was agreed upon with the kernel. Called once, before the first request is answered: what must
        /// outlive this process is to be kept before it returns.
        package var negotiated: @Sendable (FuseSession) -> Void = { _ in }
        /// Nothing can be asked any more: the filesystem was unmounted, or its connection cut. Called once, and not
        /// after ``FuseFilesystem/stop()``. `reason` says what, if it was not an unmount.
        package var ended: @Sendable (_ reason: String?) -> Void = { _ in }

        package init() {}
    }

    struct State {
        var directory = FuseDirectory()
        var session: FuseSession?
        var isEnded = false
    }

    let state: NIOLockedValueBox<State>
    let reads: FuseReads
    let logger: Logger
    let events: Events
    private let channels: [FuseChannel]
    private let wakeup: Wakeup
    private let threads: NIOThreadPool
    private let threadCount: Int

    /// Nothing is answered before ``start()``, so that devices that a process before had open can be expected.
    ///
    /// - Parameters:
    ///   - connection: the descriptors of the mount, ``mount(at:)`` and its clones. Requests are read through each, and
    ///     what was read through one fails when its last copy closes: a process that wants to die and be followed has
    ///     all of them kept.
    ///   - negotiated: what was agreed upon with a process before; `nil` for a new mount.
    ///   - threads: how many read requests, and so the most that read the local disk at the same time.
    ///   - deadline: after which a read that has no answer fails with EIO.
    package init(
        connection: [OpenFile], negotiated: FuseSession? = nil, threads: Int = 8, deadline: Duration = .seconds(30),
        logger: Logger, events: Events = Events(), time: TimeSource = .system
    ) throws {
        guard !connection.isEmpty, threads > 0 else {
            throw CacheError(.invalidInput, "a FUSE filesystem needs a connection and a thread")
        }
        state = NIOLockedValueBox(State(session: negotiated))
        reads = FuseReads(deadline: deadline, time: time, logger: logger)
        self.logger = logger
        self.events = events
        channels = connection.map { FuseChannel(file: $0) }
        wakeup = try reporting("make a wakeup") { () throws(Errno) in try Wakeup() }
        threadCount = max(threads, connection.count)
        self.threads = NIOThreadPool(numberOfThreads: threadCount)
    }

    /// What was agreed upon with the kernel; `nil` until then.
    package var session: FuseSession? { state.withLockedValue { $0.session } }

    /// Reads that wait for a device or its bytes.
    package var pendingReads: Int { reads.count }

    /// Begins to answer.
    package func start() throws {
        let loops = try (0..<threadCount).map { index in
            try FuseLoop(channel: channels[index % channels.count], wakeup: wakeup, filesystem: self)
        }
        threads.start()
        for loop in loops { threads.submit { _ in loop.run() } }
    }

    /// Stops answering, ends the threads and gives the descriptors back. What was read and not answered stays with the
    /// kernel, which sends it to the next one, or fails it when nobody else holds the descriptors.
    package func stop() async throws {
        state.withLockedValue { $0.isEnded = true }
        reads.stop()
        try reporting("wake the threads of FUSE") { () throws(Errno) in try wakeup.raise() }
        try await threads.shutdownGracefully()
    }

    /// Has the kernel send again what was read from the connection and not answered: by the process before.
    ///
    /// - Throws: `.unsupported` for a kernel before Linux 6.9, under which such requests wait for ever; `.io`.
    package func resendPending() throws(CacheError) {
        // Without a session it is INIT that waits, and the kernel says what it can.
        if let session, !session.canResend {
            throw CacheError(
                .unsupported, "this kernel cannot send pending FUSE requests again: Linux 6.9 or later can")
        }
        try reporting("have pending FUSE requests sent again") { () throws(Errno) in
            try channels[0].notify(.resend)
        }
    }

    // MARK: Devices

    /// A device that will come: its name and size are shown, and what is read of it waits.
    package func expect(_ number: UInt64, name: String, byteCount: UInt64) throws(CacheError) {
        try change { directory throws(CacheError) in
            try directory.expect(number, FileName(name), byteCount: byteCount)
        }
        reads.open(number, nil)
    }

    /// Shows a device.
    ///
    /// - Parameters:
    ///   - name: of its file; in use by no other.
    ///   - number: its inode, from 2 on; never used before for another one while the filesystem is mounted, because
    ///     the kernel may still have pages of that.
    /// - Throws: `.conflict` if the name or the number is taken, or if it is not what was expected.
    package func insert(_ device: any BlockDevice, name: String, number: UInt64) throws(CacheError) {
        try change { directory throws(CacheError) in try directory.insert(device, number, FileName(name)) }
        reads.open(number, device)
    }

    /// Takes a device away. Reads that are under way, and those of whoever has it open still, fail with EIO. Blocks
    /// while the kernel looks up names in the directory.
    package func remove(_ number: UInt64) throws(CacheError) {
        guard let entry = state.withLockedValue({ $0.directory.remove(number) }) else { return }
        reads.close(number)
        do throws(Errno) {
            try channels[0].notify(.invalidEntry(entry.name))
        } catch .noSuchFile {
            // The kernel does not remember the name.
        } catch .noDevice {
            // Nothing is mounted any more.
        } catch .connectionAborted {
        } catch {
            throw CacheError.system("have the kernel forget the device \(entry.name)", error)
        }
    }

    private func change(
        _ body: (inout FuseDirectory) throws(CacheError) -> Void
    ) throws(CacheError) {
        let result = state.withLockedValue { state in
            Result { () throws(CacheError) in try body(&state.directory) }
        }
        try result.get()
    }

    // MARK: The end

    var isEnded: Bool { state.withLockedValue { $0.isEnded } }

    /// One of the threads cannot read requests any more.
    func end(_ reason: String?) {
        let isFirst = state.withLockedValue { state in
            defer { state.isEnded = true }
            return !state.isEnded
        }
        guard isFirst else { return }
        reads.stop()
        events.ended(reason)
    }
}
