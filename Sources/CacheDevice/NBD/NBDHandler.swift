internal import CacheClient
internal import Logging
internal import NIOCore

/// The channel handler of one NBD connection: tells ``NBDConnection`` what happens and carries out what it decides.
///
/// What the device has in memory is answered without leaving the event loop and without a copy; all else is read by a
/// task of its own, several at once.
final class NBDHandler: ChannelDuplexHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private let device: any BlockDevice
    private let connections: NBDConnections
    private let limits: NBDLimits
    private let logger: Logger
    private var machine: NBDConnection
    private var context: ChannelHandlerContext?
    private var reads: [UInt64: Task<Void, Never>] = [:]
    private var negotiationEnd: Scheduled<Void>?
    /// Actions are being carried out; what happens meanwhile is seen to by who does that.
    private var isRunning = false
    /// The channel asked to read while the connection wanted nothing.
    private var isReadDue = false
    /// When a failed read is worth a warning again.
    private var nextWarning = NIODeadline.uptimeNanoseconds(0)

    private static let warningInterval = TimeAmount.seconds(10)

    init(_ export: NBDExport, _ device: any BlockDevice, _ connections: NBDConnections, logger: Logger) {
        self.device = device
        self.connections = connections
        limits = connections.limits
        self.logger = logger
        machine = NBDConnection(export: export, limits: connections.limits)
    }

    // MARK: Channel events

    func handlerAdded(context: ChannelHandlerContext) { self.context = context }

    func handlerRemoved(context: ChannelHandlerContext) { self.context = nil }

    func channelActive(context: ChannelHandlerContext) {
        guard connections.add(self, on: context.eventLoop) else {
            logger.debug("connection refused: the limit is reached", metadata: ["limit": "\(limits.connections)"])
            machine.closed()
            return context.close(promise: nil)
        }
        negotiationEnd = context.eventLoop.assumeIsolated().scheduleTask(in: TimeAmount(limits.negotiationTime)) {
            [self] in
            logger.debug("connection ended: its negotiation took too long")
            self.context?.close(promise: nil)
        }
        run(machine.opened())
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        machine.received(unwrapInboundIn(data))
        run()
    }

    func read(context: ChannelHandlerContext) {
        isReadDue = !machine.wantsInput
        if !isReadDue { context.read() }
    }

    func channelInactive(context: ChannelHandlerContext) {
        machine.closed()
        negotiationEnd?.cancel()
        for read in reads.values { read.cancel() }
        reads = [:]
        connections.remove(self)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        logger.debug("connection failed", metadata: ["error": "\(error)"])
        context.close(promise: nil)
    }

    // MARK: Events of the server

    /// Takes no further request, and ends the connection when all are answered.
    func stop() {
        machine.stop()
        run()
    }

    /// Ends the connection at once.
    func cut() { context?.close(promise: nil) }

    // MARK: Actions

    /// Carries out `first` and all that is to be done now.
    private func run(_ first: NBDConnection.Action? = nil) {
        guard !isRunning else { return }
        isRunning = true
        var isFlushDue = false
        var action = first ?? machine.next()
        while let current = action {
            switch current {
            case .write(let reply, let cost):
                write(reply, cost)
                isFlushDue = true
            case .read(let piece): read(piece)
            case .close: context?.close(promise: nil)
            }
            action = machine.next()
            if action == nil, isFlushDue {
                // What the kernel takes at once makes room for more.
                isFlushDue = false
                context?.flush()
                action = machine.next()
            }
        }
        isRunning = false
        if !machine.isNegotiating { negotiationEnd?.cancel() }
        if isReadDue, machine.wantsInput {
            isReadDue = false
            context?.read()
        }
    }

    private func write(_ reply: NBDReply, _ cost: Int) {
        guard let context else { return }
        var pending = reply.head
        for data in reply.data {
            context.write(wrapOutboundOut(pending), promise: nil)
            pending = data
        }
        context.write(wrapOutboundOut(pending)).assumeIsolated().whenSuccess { [self] in
            machine.taken(cost)
            run()
        }
    }

    private func read(_ piece: NBDPiece) {
        do {
            if let data = try device.cached(at: piece.offset, count: piece.count, reach: .memory) {
                return machine.completed(piece, .success(data))
            }
        } catch {
            return machine.completed(piece, .failure(failure(error)))
        }
        guard let eventLoop = context?.eventLoop else { return }
        let handler = NIOLoopBound(self, eventLoop: eventLoop)
        reads[piece.id] = Task { [device] in
            let result: Result<[ByteBuffer], any Error>
            do {
                result = .success(try await device.read(at: piece.offset, count: piece.count))
            } catch {
                result = .failure(error)
            }
            eventLoop.execute { handler.value.finish(piece, result) }
        }
    }

    private func finish(_ piece: NBDPiece, _ result: Result<[ByteBuffer], any Error>) {
        reads[piece.id] = nil
        machine.completed(piece, result.mapError(failure))
        run()
    }

    /// The client learns that a read failed, who runs the server learns why: not of each, for there can be thousands.
    private func failure(_ error: any Error) -> NBDError {
        guard !(error is CancellationError) else { return .io }
        let now = NIODeadline.now()
        let level: Logger.Level = now >= nextWarning ? .warning : .debug
        if level == .warning { nextWarning = now + Self.warningInterval }
        logger.log(level: level, "a read of the device failed", metadata: ["error": "\(error)"])
        return .io
    }
}
