package import CacheClient
internal import CacheCore
package import CacheFiles
package import Logging
internal import NIOPosix

/// A worker as a program: which process does what, from the first one to the last.
package struct WorkerRunner: Sendable {
    /// The serving process could not start, and has said why.
    package struct ServingFailed: Error {}

    private let place: WorkerPlace
    private let cache: CacheConfiguration
    private let keyring: String
    private let records: Bool
    private let asks: AsyncStream<WorkerProcess.End>
    private let logger: Logger
    private let onServing: @Sendable () -> Void

    /// - Parameters:
    ///   - keyring: the path of the keyring of requests that name none; may be empty.
    ///   - records: whether the first runs of an image are recorded as its trace.
    ///   - asks: what the process is asked for from outside.
    ///   - onServing: called once the worker answers, by each process that was started before it did.
    package init(
        place: WorkerPlace, cache: CacheConfiguration, keyring: String, records: Bool,
        asks: AsyncStream<WorkerProcess.End>, logger: Logger, onServing: @escaping @Sendable () -> Void
    ) {
        self.place = place
        self.cache = cache
        self.keyring = keyring
        self.records = records
        self.asks = asks
        self.logger = logger
        self.onServing = onServing
    }

    // MARK: With a supervisor

    /// The first process: takes the place, mounts FUSE, and supervises from then on.
    ///
    /// - Parameter processes: how the others are started, given the lock and the descriptors of FUSE.
    package func start(_ processes: (OpenFile, [OpenFile]) throws -> WorkerProcesses) async throws {
        try WorkerPlace.checkRights()
        let lock = try place.take()
        do {
            try await clear(in: .own)
            let connection = try place.mountDevices()
            try await supervise(try processes(lock, connection), adopting: nil, onServing: onServing)
        } catch {
            place.unmountDevices()
            place.remove()
            throw error
        }
    }

    /// A process that holds the descriptors beside a serving one whose supervisor has died.
    package func supervise(_ processes: WorkerProcesses, adopting line: Lifeline) async throws {
        try await supervise(processes, adopting: line, onServing: {})
    }

    private func supervise(
        _ processes: WorkerProcesses, adopting line: Lifeline?, onServing: @escaping @Sendable () -> Void
    ) async throws {
        let supervisor = Supervisor(processes, logger: logger)
        let listener = Task {
            for await ask in asks {
                if ask == .handOver { supervisor.handOver() } else { supervisor.drain() }
            }
        }
        defer { listener.cancel() }
        let outcome = try await NIOThreadPool.singleton.runIfActive {
            try supervisor.run(adopting: line, onServing: onServing)
        }
        if outcome == .failed { throw ServingFailed() }
    }

    /// The process that serves beside a supervisor.
    package func serve(_ inherited: WorkerProcesses.Inherited, _ processes: WorkerProcesses) async throws {
        let line = SupervisedLine(inherited.lifeline, processes, logger: logger)
        do {
            let isEmpty = try await serve(inherited.connection, in: .own, leavesBusyMounts: false) { process in
                line.listen { process.end($0) }
            } onServing: {
                onServing()
                line.tellServing()
            }
            if isEmpty { line.tellEnded() } else { line.tellNothing() }
        } catch {
            line.tellFailed()
            throw error
        }
        withExtendedLifetime(inherited) {}
    }

    // MARK: With a service manager

    /// Names of descriptors in the service manager's store: those of FUSE, and the manager's own mount namespace.
    private static let storeName = "fuse"
    private static let namespaceName = "mount-namespace"

    /// Has the service manager, whose child this process must be, hand its mount namespace to the worker that it is
    /// about to start.
    package static func storeNamespace(with manager: ServiceManager) throws {
        let namespace = try MountNamespace.ofParent()
        // One for each start would fill the store.
        try manager.tell("FDSTOREREMOVE=1\nFDNAME=\(namespaceName)")
        try manager.tell("FDSTORE=1\nFDNAME=\(namespaceName)", storing: namespace.descriptor)
    }

    /// The one process of a service, whose manager keeps the descriptors and starts the next one.
    package func serve(for manager: ServiceManager) async throws {
        try WorkerPlace.checkRights()
        let lock = try place.take()
        let namespace = try namespaceOfManager()
        defer { namespace.close() }
        var connection = ServiceManager.files(named: Self.storeName)
        if connection.isEmpty || !place.hasSession {
            connection = []
            // Descriptors that nobody knows what was agreed upon are of no use.
            try manager.tell("FDSTOREREMOVE=1\nFDNAME=\(Self.storeName)")
            try await clear(in: namespace)
            connection = try await namespace.run { try place.mountDevices() }
            for file in connection {
                try manager.tell("FDSTORE=1\nFDNAME=\(Self.storeName)", storing: file.descriptor)
            }
        }
        let isEmpty = try await serve(connection, in: namespace, leavesBusyMounts: true) { _ in
        } onServing: {
            do {
                try manager.tell("READY=1")
            } catch {
                logger.error("the service manager does not hear", metadata: ["error": "\(error)"])
            }
            onServing()
        }
        try manager.tell("STOPPING=1" + (isEmpty ? "\nFDSTOREREMOVE=1\nFDNAME=\(Self.storeName)" : ""))
        withExtendedLifetime(lock) {}
    }

    private func namespaceOfManager() throws -> MountNamespace {
        if let file = ServiceManager.files(named: Self.namespaceName).last { return MountNamespace(file) }
        if try SystemMount.entry(at: "/")?.isSlave == true {
            logger.warning(
                """
                this service has a mount namespace of its own, and the host sees none of its mounts: its unit needs \
                ExecStartPre=+... worker --store-namespace and NotifyAccess=exec
                """)
        }
        return .own
    }

    // MARK: Both

    /// As much as a process needs that takes over on a busy machine, whatever the deadlines of the tiers are: these end
    /// a read earlier once its image is open.
    private static let shortestReadDeadline = Duration.seconds(30)

    private func clear(in namespace: MountNamespace) async throws {
        for directory in try await namespace.run({ try place.clear() }) {
            logger.warning("a mount of a dead worker is detached", metadata: ["dir": "\(directory)"])
        }
    }

    private func serve(
        _ connection: [OpenFile], in namespace: MountNamespace, leavesBusyMounts: Bool,
        onStart: (WorkerProcess) -> Void,
        onServing: @escaping @Sendable () -> Void
    ) async throws -> Bool {
        let process = WorkerProcess(
            .init(
                place: place, connection: connection, namespace: namespace, keyring: keyring,
                leavesBusyMounts: leavesBusyMounts, readDeadline: max(cache.readDeadline, Self.shortestReadDeadline)),
            logger: logger)
        let listener = Task {
            for await ask in asks { process.end(ask) }
        }
        defer { listener.cancel() }
        onStart(process)
        let cache = try await LayerCache.open(cache, logger: logger)
        let result: Result<Bool, any Error>
        do {
            let isEmpty = try await process.run(
                images: CachedImages(cache, in: namespace, records: records),
                metrics: { WorkerMetrics.text(cache, $0) }, onServing: onServing)
            result = .success(isEmpty)
        } catch {
            result = .failure(error)
        }
        try await cache.close()
        return try result.get()
    }
}
