internal import CachePage
internal import NIOCore
internal import NIOHTTP1

/// The page for people as a response: the same bytes for all, with 200 or, to those without a token, with 401.
enum PageResponse {
    static let content = ByteBuffer(string: Page.html)

    static func head(_ status: HTTPResponseStatus) -> ResponseHead {
        ResponseHead(
            status: status, contentType: "text/html; charset=utf-8", contentLength: content.readableBytes,
            fields: fields)
    }

    private static let fields = [
        ("Content-Security-Policy", Page.policy), ("X-Content-Type-Options", "nosniff"),
        ("Referrer-Policy", "no-referrer"), ("Cache-Control", "no-cache"), ("Vary", "Accept, Authorization"),
    ]
}
