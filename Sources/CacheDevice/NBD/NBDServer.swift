public import CacheClient
internal import CacheCore
internal import CacheFiles
public import Logging
internal import NIOCore
internal import NIOPosix
public import ServiceLifecycle

/// Shows a block device, read-only, to NBD clients on a Unix socket: QEMU, libnbd (`nbdcopy`, `nbdinfo`, `nbdfuse`),
/// the kernel's `nbd-client`.
///
/// `run` listens and serves until the surrounding `ServiceGroup` shuts down gracefully, or its task is cancelled. It
/// owns its threads and its socket. Only the user that runs it and root can connect: the socket has mode 0600.
public struct NBDServer: Service {
    private let export: NBDExport
    private let device: any BlockDevice
    private let path: String
    private let limits: NBDLimits
    private let logger: Logger
    private let onReady: @Sendable () async -> Void

    /// - Parameters:
    ///   - device: what clients see.
    ///   - name: of the export; clients that name none get it, too.
    ///   - path: of the socket. A socket that a dead server left there is replaced.
    ///   - onReady: called once clients can connect.
    public init(
        device: any BlockDevice, name: String, path: String, limits: NBDLimits = NBDLimits(), logger: Logger,
        onReady: @escaping @Sendable () async -> Void = {}
    ) {
        export = NBDExport(name: name, device: device)
        self.device = device
        self.path = path
        self.limits = limits
        self.logger = logger
        self.onReady = onReady
    }

    /// Serves until told to stop. Then it removes its socket, takes no further request, answers those under way for
    /// at most ``NBDLimits/drainTime``, or not at all if it was cancelled, and closes all connections.
    ///
    /// - Throws: `.conflict` if somebody listens on the path already, `.invalidInput` for a path that no socket can
    ///   have, `.io` if the system refuses the socket.
    public func run() async throws {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: limits.threads)
        let outcome: Result<Void, any Error>
        do {
            outcome = .success(try await serve(on: group))
        } catch {
            outcome = .failure(error)
        }
        try await group.shutdownGracefully()
        try outcome.get()
    }

    private func serve(on group: MultiThreadedEventLoopGroup) async throws {
        let socket = try BoundSocket.bind(path)
        let connections = NBDConnections(limits: limits)
        let channel: any Channel
        do {
            channel = try await bootstrap(on: group, connections).withBoundSocket(socket.descriptor.rawValue).get()
        } catch {
            socket.remove()
            throw CacheError(.io, "cannot serve on \(path)", cause: error)
        }
        logger.info("serving a device", metadata: ["socket": "\(path)", "export": "\(export.name)"])
        await onReady()
        let end = await ending(of: channel, socket)
        let time = end == .graceful ? limits.drainTime : .zero
        try await connections.stop(within: time, on: group.next())
        if end == .failed { throw CacheError(.io, "the socket \(path) failed: start the server again") }
    }

    private enum Ending: Sendable { case graceful, cancelled, failed }

    /// Waits for what ends the service; by the time it returns nothing is accepted any more.
    private func ending(of channel: any Channel, _ socket: BoundSocket) async -> Ending {
        await withTaskGroup(of: Ending.self) { tasks in
            tasks.addTask {
                do {
                    try await gracefulShutdown()
                    return .graceful
                } catch {
                    return .cancelled
                }
            }
            tasks.addTask {
                try? await channel.closeFuture.get()
                return .failed
            }
            let first = await tasks.next() ?? .failed
            socket.remove()
            channel.close(promise: nil)
            tasks.cancelAll()
            await tasks.waitForAll()
            return first
        }
    }

    private func bootstrap(on group: MultiThreadedEventLoopGroup, _ connections: NBDConnections) -> ServerBootstrap {
        ServerBootstrap(group: group)
            // One read brings at most 64 KiB, and then the connection is asked whether it wants more.
            .childChannelOption(.maxMessagesPerRead, value: 1)
            .childChannelInitializer { [export, device, logger] channel in
                channel.eventLoop.makeCompletedFuture {
                    let handler = NBDHandler(export, device, connections, logger: logger)
                    try channel.pipeline.syncOperations.addHandler(handler)
                }
            }
    }
}
