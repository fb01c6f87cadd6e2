internal import CacheCore
internal import CacheDevice
package import CacheFiles
package import Logging
internal import NIOConcurrencyHelpers

/// The process that serves: FUSE, the mounts, the socket; from its start, which may be in the middle of other programs'
/// reads, to its end.
package final class WorkerProcess: Sendable {
    /// Why it is to end.
    package enum End: Sendable {
        /// Unmount what nothing uses, take no more mounts, and end once all is unmounted. A second time: detach what is
        /// in use.
        case drain
        /// End now, and leave all to the next process, to which somebody hands the descriptors.
        case handOver
        /// FUSE was unmounted, or its connection cut, by others: no mount can be read any more.
        case broken
        /// The last mount of a worker that is draining is gone.
        case emptied
    }

    package struct Configuration: Sendable {
        package let place: WorkerPlace
        /// The descriptors of FUSE, held by somebody else as well.
        package let connection: [OpenFile]
        /// That mounts are made in.
        package let namespace: MountNamespace
        /// The keyring of requests that name none.
        package let keyring: String
        /// Whether mounts in use are left to the next process at the end, instead of waiting for their users: for a
        /// service manager that keeps the descriptors.
        package let leavesBusyMounts: Bool
        /// After which a read of the kernel that has no answer fails.
        package let readDeadline: Duration

        package init(
            place: WorkerPlace, connection: [OpenFile], namespace: MountNamespace, keyring: String,
            leavesBusyMounts: Bool, readDeadline: Duration
        ) {
            self.namespace = namespace
            self.readDeadline = readDeadline
            self.place = place
            self.connection = connection
            self.keyring = keyring
            self.leavesBusyMounts = leavesBusyMounts
        }
    }

    private let configuration: Configuration
    private let logger: Logger
    /// Ends when the kernel has agreed upon a new mount of FUSE, and that is kept.
    private let (agreed, agreeing) = AsyncStream.makeStream(of: Void.self)
    /// FUSE is unmounted by this process itself.
    private let isUnmounting = NIOLockedValueBox(false)
    private let (ends, ending) = AsyncStream.makeStream(of: End.self)

    package init(_ configuration: Configuration, logger: Logger) {
        self.configuration = configuration
        self.logger = logger
    }

    /// From any thread, at any time.
    package func end(_ end: End) { ending.yield(end) }

    /// Serves until it is told to end.
    ///
    /// - Parameters:
    ///   - metrics: the text of `/metrics`, from the status.
    ///   - onServing: called once the socket answers.
    /// - Returns: whether nothing is mounted any more, and the place is gone.
    package func run(
        images: any WorkerImages, metrics: @escaping @Sendable (WorkerStatus) -> String,
        onServing: @Sendable () -> Void
    ) async throws -> Bool {
        let place = configuration.place
        let table = try MountTable(place.table)
        let mounter = ImageMounter(in: configuration.namespace, deadlines: Deadlines())
        defer { mounter.close() }
        let fuse = try filesystem()
        let worker = Worker(
            Worker.Parts(
                place: place, images: images, shelf: FuseShelf(fuse), mounter: mounter, table: table, logger: logger),
            keyring: configuration.keyring)
        try await worker.restore()
        let isFirst = fuse.session == nil
        try fuse.start()
        if isFirst { try await waitForKernel() } else { try resend(fuse) }
        await worker.reopen()
        Descriptor.workingDirectory.removeIfPossible(place.socket)
        let server = try await AgentServer.listen(on: place.socket)
        let routes = AgentRoutes(worker) { metrics(await worker.status) }
        onServing()
        logger.info("serving mounts", metadata: ["socket": "\(place.socket)"])
        let isEmpty = try await withThrowingTaskGroup(of: Bool?.self) { group in
            group.addTask {
                try await server.serve(routes)
                return nil
            }
            group.addTask { [self] in
                let isEmpty = await waitForEnd(of: worker)
                try await server.stop()
                return isEmpty
            }
            var isEmpty = false
            for try await result in group { isEmpty = result ?? isEmpty }
            return isEmpty
        }
        if isEmpty {
            isUnmounting.withLockedValue { $0 = true }
            try await unmount(place.devices, mounter)
        }
        try await fuse.stop()
        await worker.closeDevices()
        try await table.close()
        if isEmpty {
            try await configuration.namespace.run { place.remove() }
            logger.info("nothing is mounted any more: the worker ends")
        }
        return isEmpty
    }

    // MARK: FUSE

    private static let sessionLimits = JSONLimits(bytes: 4096, depth: 2)

    private func filesystem() throws -> FuseFilesystem {
        let path = configuration.place.session
        var session: FuseSession?
        if FileStatus.find(path) != nil {
            let bytes = try OpenFile.open(path, .noFollow).wholeRange().readDocument(Self.sessionLimits)
            session = try JSONDocument.decode(FuseSession.self, from: bytes, name: path, limits: Self.sessionLimits)
        }
        var events = FuseFilesystem.Events()
        events.negotiated = { [logger, agreeing] session in
            do {
                try DurableFile.write(try JSONDocument.encode(session), to: path, outliving: .process)
                agreeing.finish()
            } catch {
                logger.error("a process after this one cannot take over", metadata: ["error": "\(error)"])
            }
        }
        events.ended = { [logger, ending, isUnmounting] reason in
            guard !isUnmounting.withLockedValue({ $0 }) else { return }
            logger.error("FUSE is gone: the worker ends", metadata: ["reason": "\(reason ?? "unmounted")"])
            ending.yield(.broken)
        }
        return try FuseFilesystem(
            connection: configuration.connection, negotiated: session, deadline: configuration.readDeadline,
            logger: logger, events: events)
    }

    private static let agreementTime = Duration.seconds(10)

    /// The kernel asks as soon as the filesystem is mounted, and only once: if a process was killed before it had
    /// answered, nobody can serve this mount.
    private func waitForKernel() async throws {
        try await Deadlines().run(Self.agreementTime, "the kernel's side of FUSE") { [agreed] in
            for await _ in agreed {}
        }
    }

    private func resend(_ fuse: FuseFilesystem) throws {
        do throws(CacheError) {
            try fuse.resendPending()
        } catch {
            guard error.code == .unsupported else { throw error }
            // What the process before had read waits for ever; all other requests are answered.
            logger.error("reads that were under way cannot go on", metadata: ["error": "\(error)"])
        }
    }

    // MARK: The end

    private func waitForEnd(of worker: Worker) async -> Bool {
        var isDraining = false
        for await end in ends {
            switch end {
            case .handOver: return false
            case .emptied: return true
            case .broken:
                await worker.detachAll()
                return true
            case .drain where isDraining:
                await worker.detachAll()
                return true
            case .drain:
                isDraining = true
                let busy = await worker.drain()
                if busy.isEmpty { return true }
                let metadata: Logger.Metadata = ["mounts": .array(busy.map { "\($0)" })]
                if configuration.leavesBusyMounts {
                    logger.warning("mounts in use stay: their readers wait for the next process", metadata: metadata)
                    return false
                }
                logger.warning("mounts are in use: the worker ends when they are unmounted", metadata: metadata)
                Task { [ending] in
                    await worker.waitUntilEmpty()
                    ending.yield(.emptied)
                }
            }
        }
        return false
    }

    /// Nothing of it is mounted any more; what still has a device's file open loses it: a virtual machine, or a mount
    /// that a mount namespace has kept which was made meanwhile, and which unmounting does not reach (MS_PRIVATE).
    private func unmount(_ devices: String, _ mounter: ImageMounter) async throws {
        do {
            try await mounter.unmount(devices, scratch: nil)
        } catch let error as CacheError where error.code == .conflict {
            logger.warning(
                "a device's file is in use elsewhere (a virtual machine, a mount namespace): it fails from now on",
                metadata: ["dir": "\(devices)"])
            try await mounter.detach(devices, scratch: nil)
        }
    }
}
