internal import CacheCore
internal import NIOCore
internal import NIOHTTP1

/// The last handler of a connection to L2: one exchange at a time, its answer gathered with one copy into a buffer that
/// is used again.
///
/// Whatever goes wrong fails the exchange that is under way and closes the connection.
final class L2ExchangeHandler: ChannelDuplexHandler {
    typealias InboundIn = HTTPClientResponsePart
    typealias OutboundIn = L2Exchange
    typealias OutboundOut = HTTPClientRequestPart

    private let buffers: BufferPool
    private var current: L2Exchange?
    private var head: HTTPResponseHead?
    private var body = ByteBuffer()

    init(buffers: BufferPool) {
        self.buffers = buffers
    }

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        let exchange = unwrapOutboundIn(data)
        guard current == nil else {
            exchange.answer.fail(L2Failure.busy)
            promise?.fail(L2Failure.busy)
            return
        }
        current = exchange
        var headers = HTTPHeaders([("Host", exchange.host)])
        if let authorization = exchange.authorization { headers.add(name: "Authorization", value: authorization) }
        for (name, value) in exchange.request.fields { headers.add(name: name, value: value) }
        if let body = exchange.request.body { headers.add(name: "Content-Length", value: "\(body.readableBytes)") }
        let head = HTTPRequestHead(
            version: .http1_1, method: exchange.request.method, uri: exchange.request.path, headers: headers)
        context.write(wrapOutboundOut(.head(head)), promise: nil)
        if let body = exchange.request.body { context.write(wrapOutboundOut(.body(.byteBuffer(body))), promise: nil) }
        context.write(wrapOutboundOut(.end(nil)), promise: promise)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard let exchange = current else { return }
        switch unwrapInboundIn(data) {
        case .head(let head) where head.status == .processing:
            exchange.inLine(head)
        // Others that announce an answer mean nothing here.
        case .head(let head) where head.status.code < 200: break
        case .head(let head):
            self.head = head
        case .body(var part):
            guard body.readableBytes + part.readableBytes <= exchange.request.limit else {
                fail(L2Failure.tooLong, context)
                return
            }
            if body.storageCapacity == 0, head?.status == .ok { body = buffers.take() }
            body.writeBuffer(&part)
        case .end:
            guard let head else { return }
            finish(.success(L2Response(head: head, body: body)))
            if !head.isKeepAlive { context.close(promise: nil) }
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        fail(head == nil && L2Failure.isEndOfConnection(error) ? L2Failure.closedUnanswered : error, context)
    }

    func channelInactive(context: ChannelHandlerContext) {
        finish(.failure(head == nil ? L2Failure.closedUnanswered : L2Failure.closedInAnswer))
        context.fireChannelInactive()
    }

    private func fail(_ error: any Error, _ context: ChannelHandlerContext) {
        finish(.failure(error))
        context.close(promise: nil)
    }

    private func finish(_ result: Result<L2Response, any Error>) {
        if case .failure = result { buffers.give(body) }
        body = ByteBuffer()
        head = nil
        current.take()?.answer.completeWith(result)
    }
}
