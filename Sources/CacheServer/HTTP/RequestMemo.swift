internal import CacheChunks
internal import NIOCore
internal import NIOHTTP1

/// The last request for a chunk on a connection, so that the next one is known by its bytes: clients ask for one chunk
/// after the other in the same words.
///
/// To parse a request takes longer than to find its chunk. What differs from a request that the parser has read on the
/// same connection in nothing but the chunk's name, 64 digits in place of 64 others, means the same for another chunk.
/// So nothing here reads HTTP; what is not known, byte by byte, goes to the parser as it came.
///
/// That holds only where a request begins, so it must be certain that the parser is between two. It is after bytes
/// whose only empty line is their end, if it made of them one request without a body and nothing else.
struct RequestMemo {
    /// A request without its chunk's name, and what it asks for.
    private struct Known {
        let before: ByteBuffer
        let after: ByteBuffer
        let plan: RequestPlan
    }

    /// What the parser has made of the bytes that it has got.
    private enum Outcome {
        case nothing
        case head(RequestPlan)
        case request(RequestPlan)
        case other
    }

    private var known: Known?
    private var isBetweenRequests = true
    /// Whether it was when it got what it reads now.
    private var wasBetweenRequests = true
    /// `nil` for bytes that tell nothing.
    private var outcome: Outcome?

    /// Longer ones are not worth their memory, of which each connection takes so much.
    private static let longest = 1024
    private static let nameBytes = 64
    /// What follows the name, which is the end of the target.
    private static let version = ByteBuffer(staticString: " HTTP/1.1\r\n")

    /// What `bytes` ask for; `nil` if only the parser can tell. Compares some hundred bytes, allocates nothing.
    func plan(for bytes: ByteBuffer) -> RequestPlan? {
        guard isBetweenRequests, let known else { return nil }
        let start = bytes.readerIndex + known.before.readableBytes
        let end = start + Self.nameBytes
        guard bytes.writerIndex - end == known.after.readableBytes,
            bytes.getSlice(at: bytes.readerIndex, length: known.before.readableBytes) == known.before,
            bytes.getSlice(at: end, length: known.after.readableBytes) == known.after,
            let id = Self.name(in: bytes, at: start)
        else { return nil }
        return known.plan.asking(for: id)
    }

    /// The parser is about to get `bytes`.
    mutating func willParse(_ bytes: ByteBuffer) {
        outcome = Self.hasOneEmptyLine(bytes) ? .nothing : nil
        wasBetweenRequests = isBetweenRequests
        isBetweenRequests = false
    }

    /// It has found a part of a request, of which `plan` is what it asks for if it could be looked at already.
    mutating func parsed(_ part: HTTPServerRequestPart, _ plan: @autoclosure () -> RequestPlan?) {
        guard let outcome else { return }
        switch (outcome, part) {
        case (.nothing, .head): self.outcome = plan().map { .head($0) } ?? .other
        case (.head(let plan), .end) where !plan.hasBody: self.outcome = .request(plan)
        default: self.outcome = .other
        }
    }

    /// It has got `bytes`, and told of all that it has found.
    mutating func didParse(_ bytes: ByteBuffer) {
        guard case .request(let plan)? = outcome.take() else { return }
        isBetweenRequests = true
        guard wasBetweenRequests, plan.keepAlive, let id = plan.chunkRead else { return }
        if let known = Self.split(bytes, at: id, plan) { self.known = known }
    }

    /// Requests may mean something else from now on.
    mutating func forget() { known = nil }

    private static func split(_ bytes: ByteBuffer, at id: ChunkID, _ plan: RequestPlan) -> Known? {
        let version = Self.version.readableBytesView
        guard let end = bytes.readableBytesView.firstRange(of: version)?.lowerBound,
            case let start = end - nameBytes, start >= bytes.readerIndex, name(in: bytes, at: start) == id,
            let before = bytes.getBytes(at: bytes.readerIndex, length: start - bytes.readerIndex),
            let after = bytes.getBytes(at: end, length: bytes.writerIndex - end)
        else { return nil }
        // Copies: a slice would keep all that one read of the socket may bring.
        return Known(before: ByteBuffer(bytes: before), after: ByteBuffer(bytes: after), plan: plan)
    }

    private static func name(in bytes: ByteBuffer, at index: Int) -> ChunkID? {
        bytes.withUnsafeReadableBytes { raw in
            let start = index - bytes.readerIndex
            return ChunkID(hexDigits: .init(rebasing: raw[start..<start + nameBytes]))
        }
    }

    /// Whether all lines end with CR LF, and the first empty one is the end of all.
    private static func hasOneEmptyLine(_ bytes: ByteBuffer) -> Bool {
        guard bytes.readableBytes <= longest, bytes.readableBytes >= 4 else { return false }
        return bytes.withUnsafeReadableBytes { raw in
            let cr = UInt8(ascii: "\r")
            let lf = UInt8(ascii: "\n")
            var lineStart = 0
            for index in raw.indices {
                switch raw[index] {
                case lf:
                    guard index > 0, raw[index - 1] == cr else { return false }
                    if index - lineStart == 1 { return lineStart > 0 && index == raw.count - 1 }
                    lineStart = index + 1
                case cr:
                    guard index + 1 < raw.count, raw[index + 1] == lf else { return false }
                default: break
                }
            }
            return false
        }
    }
}
