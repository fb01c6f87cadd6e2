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
    /// A request, where the name of its chunk stands in it, and what it asks for.
    private struct Known {
        let bytes: [UInt8]
        let name: Range<Int>
        let plan: RequestPlan

        /// The chunk that other bytes ask for, if they differ in nothing else.
        func chunk(of other: UnsafeRawBufferPointer) -> ChunkID? {
            guard other.count == bytes.count else { return nil }
            let isSame = bytes.withUnsafeBytes { bytes in
                other[..<name.lowerBound].elementsEqual(bytes[..<name.lowerBound])
                    && other[name.upperBound...].elementsEqual(bytes[name.upperBound...])
            }
            return isSame ? ChunkID(hexDigits: UnsafeRawBufferPointer(rebasing: other[name])) : nil
        }
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
    private static let version = Array(" HTTP/1.1\r\n".utf8)

    /// What `bytes` ask for; `nil` if only the parser can tell. Compares some hundred bytes, allocates nothing.
    func plan(for bytes: ByteBuffer) -> RequestPlan? {
        guard isBetweenRequests, let id = bytes.withUnsafeReadableBytes({ known?.chunk(of: $0) }) else { return nil }
        return known?.plan.asking(for: id)
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
        // Copied: a slice would keep all that one read of the socket may bring.
        let bytes = Array(bytes.readableBytesView)
        guard let name = Self.name(of: id, in: bytes) else { return }
        known = Known(bytes: bytes, name: name, plan: plan)
    }

    /// Requests may mean something else from now on.
    mutating func forget() { known = nil }

    /// Where the target of a request ends with a chunk's name.
    private static func name(of id: ChunkID, in bytes: [UInt8]) -> Range<Int>? {
        guard let end = bytes.firstRange(of: version)?.lowerBound, end >= nameBytes else { return nil }
        let name = end - nameBytes..<end
        let found = bytes.withUnsafeBytes { ChunkID(hexDigits: UnsafeRawBufferPointer(rebasing: $0[name])) }
        return found == id ? name : nil
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
