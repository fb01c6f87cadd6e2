import NIOCore

/// Tells a connection that bytes have arrived, before the parser sees them, and has those of clients that are not known
/// yet wait for their turn (``NewcomerTurns``), requests of others for their place among all that have come meanwhile
/// (``AnswerOrder``).
///
/// The parser itself reports nothing of an incomplete head, so without this a slow head would look like an idle
/// connection. Nothing more is read from the socket while bytes wait here.
final class ArrivalHandler: ChannelDuplexHandler, NewcomerWork, OrderedWork {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer
    typealias OutboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private let connection: ConnectionHandler
    private let turns: NewcomerTurns
    private let order: AnswerOrder
    private var context: ChannelHandlerContext?
    /// What waits for its turn, or for its place.
    private var rest = ByteBuffer()
    /// Bytes that came after the end of what is looked at.
    private var dropped = 0
    /// Whether all that has come since the last read of the socket was over was known, so that nobody behind need be
    /// told of its end.
    private var isAllKnown = false
    private var isReadHeld = false
    private var isEndHeld = false
    /// Whether ``rest`` waits for its place alone, which it has before anything is read again.
    private var isInOrder = false
    var lastAnswer: UInt64 = 0

    /// A few requests.
    private static let slice = 512
    private static let mostDropped = 256 << 10

    init(_ connection: ConnectionHandler) {
        self.connection = connection
        turns = connection.group.turns.newcomers
        order = connection.group.turns.order
    }

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        connection.outlet = context
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        self.context = nil
        connection.outlet = nil
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var bytes = unwrapInboundIn(data)
        connection.wasHeard()
        guard connection.takesInput else { return drop(bytes.readableBytes) }
        if rest.readableBytes == 0 {
            guard connection.isNewcomer else { return take(bytes, context) }
            let isShort = bytes.readableBytes <= Self.slice
            if isShort, connection.willBeKnown { return wait(bytes) }
            guard !isShort || !turns.hasTime else {
                return turns.spend { pass(bytes, context) }
            }
            rest = bytes
            turns.wait(self)
        } else {
            rest.writeBuffer(&bytes)
        }
    }

    /// A connection that ends reads on only so that the client sees its last response: not for ever.
    private func drop(_ count: Int) {
        dropped += count
        if dropped > Self.mostDropped { connection.cut() }
    }

    /// What comes of a client that is known: a request waits for its place.
    private func take(_ bytes: ByteBuffer, _ context: ChannelHandlerContext) {
        guard connection.takesWhole, bytes.readableBytes <= Self.slice else { return pass(bytes, context) }
        wait(bytes)
    }

    private func wait(_ bytes: ByteBuffer) {
        rest = bytes
        isInOrder = true
        order.wait(self)
    }

    /// Its place has come: passes on all that waits.
    func answer() {
        isInOrder = false
        guard let context else { return }
        let bytes = rest
        rest = ByteBuffer()
        if bytes.readableBytes > 0, connection.takesInput {
            pass(bytes, context)
            if !isAllKnown { context.fireChannelReadComplete() }
            isAllKnown = false
        }
        releaseHeld(context)
    }

    private func pass(_ bytes: ByteBuffer, _ context: ChannelHandlerContext) {
        isAllKnown = connection.takeKnown(bytes)
        if isAllKnown { return }
        connection.willParse(bytes)
        context.fireChannelRead(wrapInboundOut(bytes))
        connection.didParse(bytes)
    }

    /// Its turn has come: passes a slice on.
    func goOn() -> Bool {
        guard let context else { return false }
        if rest.readableBytes > 0 {
            let count = connection.isNewcomer ? min(Self.slice, rest.readableBytes) : rest.readableBytes
            if let slice = rest.readSlice(length: count), connection.takesInput { pass(slice, context) }
            guard rest.readableBytes == 0 || !connection.takesInput else { return true }
            rest = ByteBuffer()
            context.fireChannelReadComplete()
        }
        releaseHeld(context)
        return false
    }

    /// Lets go what waited for the bytes before it.
    private func releaseHeld(_ context: ChannelHandlerContext) {
        if isEndHeld {
            isEndHeld = false
            context.fireUserInboundEventTriggered(ChannelEvent.inputClosed)
        }
        if isReadHeld {
            isReadHeld = false
            context.read()
        }
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        if rest.readableBytes == 0, !isAllKnown { context.fireChannelReadComplete() }
        isAllKnown = false
    }

    func read(context: ChannelHandlerContext) {
        guard rest.readableBytes > 0 && !isInOrder || !connection.takesInput else { return context.read() }
        // What only ends is read at the pace of newcomers, too.
        if rest.readableBytes == 0, !isReadHeld { turns.wait(self) }
        isReadHeld = true
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case ChannelEvent.inputClosed? = event as? ChannelEvent, rest.readableBytes > 0 {
            isEndHeld = true
        } else {
            context.fireUserInboundEventTriggered(event)
        }
    }

    func channelInactive(context: ChannelHandlerContext) {
        rest = ByteBuffer()
        context.fireChannelInactive()
    }
}
