internal import NIOCore
internal import NIOHTTP1

/// What answers the requests that are not about chunks: health, statistics, metrics.
///
/// The connections know the daemon's control plane by this alone.
protocol ControlResponder: Sendable {
    /// Answers a GET of `path`, or the GET that a HEAD stands for. It never fails: a failure is a response of its own.
    func respond(to path: String) async -> ControlResponse
}

/// A whole response of the control plane: pages here are small, so none is streamed.
struct ControlResponse: Sendable {
    let status: HTTPResponseStatus
    let contentType: String
    /// Header fields besides those of the content.
    var fields: [(name: String, value: String)] = []
    let content: ByteBuffer

    /// The head that goes before ``content`` on the wire.
    var head: ResponseHead {
        ResponseHead(
            status: status, contentType: contentType, contentLength: content.readableBytes, fields: fields)
    }
}
