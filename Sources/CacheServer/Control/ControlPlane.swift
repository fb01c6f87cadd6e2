internal import HTTPTypes
internal import Hummingbird
internal import Logging
internal import NIOCore
internal import NIOHTTP1
internal import Synchronization

/// Everything but chunks: statistics, metrics, health. A Hummingbird router behind the chunk path's own connections.
///
/// The dashboard at `/` becomes one more route of ``routes(_:)``; what must guard all of them (authentication) a middleware there.
struct ControlPlane: Sendable {
    /// A whole response: pages here are small, so none is streamed.
    struct Response: Sendable {
        let head: ResponseHead
        let content: ByteBuffer
    }

    private let responder: RouterResponder<BasicRequestContext>
    private let logger: Logger

    init(_ inspector: ServerInspector, logger: Logger) {
        self.logger = logger
        responder = Self.routes(inspector).buildResponder()
    }

    private static func routes(_ inspector: ServerInspector) -> Router<BasicRequestContext> {
        let router = Router(context: BasicRequestContext.self)
        router.get("healthz") { _, _ in text(.ok, "alive\n") }
        router.get("readyz") { _, _ in
            inspector.isReady
                ? text(.ok, "ready\n") : text(.serviceUnavailable, "starting, stopping or repairing its store\n")
        }
        router.get("metrics") { _, _ in
            text(.ok, try await inspector.prometheusText(), type: PrometheusText.contentType)
        }
        router.get("v1/stats") { _, _ in
            text(.ok, try await inspector.statistics().json(), type: "application/json")
        }
        return router
    }

    private static func text(
        _ status: HTTPResponse.Status, _ text: String, type: String = "text/plain; charset=utf-8"
    ) -> Hummingbird.Response {
        Hummingbird.Response(
            status: status, headers: [.contentType: type], body: .init(byteBuffer: ByteBuffer(string: text)))
    }

    /// Answers a GET (or the GET that a HEAD stands for) of `path`.
    func respond(to path: String, channel: any Channel) async -> Response {
        let request = Request(
            head: HTTPRequest(method: .get, scheme: "http", authority: nil, path: path),
            body: RequestBody(buffer: ByteBuffer()))
        let context = BasicRequestContext(source: ApplicationRequestContextSource(channel: channel, logger: logger))
        do {
            let response = try await responder.respond(to: request, context: context)
            var content = try await CollectedBody.collect(response.body)
            if content.readableBytes == 0 { content = ByteBuffer(string: "\(response.status.reasonPhrase)\n") }
            return Response(head: ResponseHead(response, length: content.readableBytes), content: content)
        } catch {
            logger.warning("a control request failed", metadata: ["path": "\(path)", "error": "\(error)"])
            let line = ByteBuffer(string: "the daemon could not answer; its log says why\n")
            return Response(head: .text(.internalServerError, length: line.readableBytes), content: line)
        }
    }
}

extension ResponseHead {
    fileprivate init(_ response: Hummingbird.Response, length: Int) {
        self.init(
            status: HTTPResponseStatus(statusCode: response.status.code),
            contentType: response.headers[.contentType] ?? "text/plain; charset=utf-8", contentLength: length)
        for field in response.headers where field.name != .contentType && field.name != .contentLength {
            fields.append((field.name.rawName, field.value))
        }
    }
}
