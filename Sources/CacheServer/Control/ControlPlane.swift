internal import CacheBase
internal import HTTPTypes
internal import Hummingbird
internal import Logging
internal import NIOCore
internal import NIOHTTP1
internal import Synchronization

/// The control plane: answers requests for statistics, metrics and health. A Hummingbird router; the connections
/// themselves belong to the chunk path, which asks it through ``ControlResponder``.
///
/// Who may ask is decided before (``RequestPlan``); who asks for HTML at `/` gets the page from there.
struct ControlPlane: ControlResponder {
    private let responder: RouterResponder<ControlContext>
    private let logger: Logger

    init(_ inspector: ServerInspector, logger: Logger) {
        self.logger = logger
        responder = Self.routes(inspector).buildResponder()
    }

    private static func routes(_ inspector: ServerInspector) -> Router<ControlContext> {
        let router = Router(context: ControlContext.self)
        router.get("") { _, _ in text(.ok, overview) }
        router.get("healthz") { _, _ in text(.ok, "alive\n") }
        router.get("readyz") { _, _ in
            inspector.isReady
                ? text(.ok, "ready\n")
                : text(.serviceUnavailable, "starting, stopping, repairing its store or without tokens\n")
        }
        router.get("metrics") { _, _ in
            text(.ok, try await inspector.prometheusText(), type: PrometheusText.contentType)
        }
        router.get("v1/stats") { _, _ in
            text(.ok, try await inspector.statistics().json(), type: "application/json")
        }
        return router
    }

    /// What `/` says to those who do not ask for HTML.
    private static let overview = """
        LayerCache L2. A browser shows a page here.
        GET  /v1/stats         numbers as JSON
        GET  /metrics          numbers for Prometheus
        GET  /healthz /readyz  is it alive, is it ready
        GET HEAD PUT  /v1/chunks/ID      POST  /v1/chunks/missing

        """

    private static func text(
        _ status: HTTPResponse.Status, _ text: String, type: String = plainText
    ) -> Hummingbird.Response {
        Hummingbird.Response(
            status: status, headers: [.contentType: type], body: .init(byteBuffer: ByteBuffer(string: text)))
    }

    func respond(to path: String) async -> ControlResponse {
        let request = Request(
            head: HTTPRequest(method: .get, scheme: "http", authority: nil, path: path),
            body: RequestBody(buffer: ByteBuffer()))
        do {
            let context = ControlContext(source: ControlContext.Source(logger: logger))
            let response = try await responder.respond(to: request, context: context)
            var content = try await CollectedBody.collect(response.body)
            if content.readableBytes == 0 { content = ByteBuffer(string: "\(response.status.reasonPhrase)\n") }
            return ControlResponse(response, content: content)
        } catch {
            logger.warning("a control request failed", metadata: ["path": "\(path)", "error": "\(error)"])
            return ControlResponse(
                status: .internalServerError, contentType: Self.plainText,
                content: ByteBuffer(string: "the daemon could not answer; its log says why\n"))
        }
    }

    fileprivate static let plainText = "text/plain; charset=utf-8"
}

extension ControlResponse {
    fileprivate init(_ response: Hummingbird.Response, content: ByteBuffer) {
        self.init(
            status: HTTPResponseStatus(statusCode: response.status.code),
            contentType: response.headers[.contentType] ?? ControlPlane.plainText,
            fields: response.headers.filter { $0.name != .contentType && $0.name != .contentLength }
                .map { ($0.name.rawName, $0.value) },
            content: content)
    }
}
