internal import CacheCore
internal import NIOCore

/// The chunks that a read of the data region needs, one after the other, fetched in parallel.
struct RegionChunks {
    private let layer: CachedLayer
    private let spans: [DataSpan]
    private var next = 0
    private var ahead: ReadAhead?

    init(_ layer: CachedLayer, _ spans: [DataSpan]) {
        self.layer = layer
        self.spans = spans
        // One chunk is awaited where it is asked for, without a task of its own.
        if spans.count > 1 {
            ahead = ReadAhead(
                layer: layer, refs: layer.manifest.data, depth: ReadAheadDepth(layer.readAhead), use: .kept)
        }
    }

    /// The next span with its chunk; `nil` at the end.
    mutating func chunk() async throws -> (DataSpan, ByteBuffer)? {
        guard next < spans.count else { return nil }
        let span = spans[next]
        next += 1
        if let bytes = try await ahead?.chunk(span.slot, upTo: spans[spans.count - 1].slot) { return (span, bytes) }
        return (span, try await layer.chunk(layer.manifest.data[span.slot]))
    }
}
