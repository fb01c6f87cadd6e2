internal import HTTPTypes
internal import Hummingbird
internal import NIOConcurrencyHelpers
internal import NIOCore

/// Collects the body of a Hummingbird response, which would be streamed otherwise, in one buffer.
struct CollectedBody: ResponseBodyWriter {
    private let content: NIOLockedValueBox<ByteBuffer>

    static func collect(_ body: ResponseBody) async throws -> ByteBuffer {
        let content = NIOLockedValueBox(ByteBuffer())
        try await body.write(CollectedBody(content: content))
        return content.withLockedValue { $0 }
    }

    mutating func write(_ buffer: ByteBuffer) async throws {
        content.withLockedValue { _ = $0.writeImmutableBuffer(buffer) }
    }

    consuming func finish(_ trailingHeaders: HTTPFields?) async throws {}
}
