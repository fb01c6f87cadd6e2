/// Finds out which reads of a device follow one another, and how far ahead of each such stream to read: nothing for
/// random access, then 1, 2, 4 chunks and so on for as long as the stream goes on.
///
/// A filesystem reads several files at once, from several threads, so there are several streams, and a read may come a
/// little before the one that it follows. A pure value: no clock, no I/O.
struct SequentialStreams: Sendable {
    /// Bytes of the device to fetch ahead of a stream.
    struct Ahead: Sendable, Equatable {
        let range: Range<UInt64>
        /// How many ends of contents it may go beyond: a file is seldom read on into the next one.
        let crossings: Int
        /// From here on it is only read by a stream that is a long one then.
        let long: UInt64
        fileprivate let stream: UInt64
    }

    private struct Stream {
        let number: UInt64
        let start: UInt64
        /// The end of what was read so far.
        var next: UInt64
        /// Where the last read lay.
        var last: Range<UInt64>
        /// Bytes that were read, as far as they can be different ones.
        var bytes: UInt64
        var reads = 1
        /// Chunks to be ahead; 0 until there is something to go by.
        var window = 0
        /// Ends of contents that the reader has gone beyond.
        var crossed = 0
        /// What was fetched, or is on its way, ends here.
        var fetched: UInt64
        /// The first chunk's place that it was not said to have left behind.
        var left: UInt64 = 0
        var lastUsed: UInt64
    }

    private let chunkBytes: UInt64
    private let maximumWindow: Int
    private let end: UInt64
    private var streams: [Stream] = []
    private var clock: UInt64 = 0

    private static let maximumStreams = 8
    /// How far a read may lie from where its stream is.
    private static let slack: UInt64 = 1 << 20
    /// Who has read so much in order reads on, and does not come back soon: more than most libraries of programs.
    static let longBytes: UInt64 = 8 << 20
    /// Small files are no streams.
    private static let minimumBytes: UInt64 = 96 << 10

    /// - Parameters:
    ///   - end: the size of the device.
    ///   - maximumWindow: the most chunks to be ahead.
    init(end: UInt64, chunkBytes: Int, maximumWindow: Int) {
        self.end = end
        self.chunkBytes = UInt64(chunkBytes)
        self.maximumWindow = maximumWindow
    }

    /// Takes note of a read; what to fetch ahead now, if anything.
    ///
    /// - Parameter isEnd: whether contents end in the chunk's place of that number: the last chunk of a large file, or
    ///   one with small files.
    mutating func read(at offset: UInt64, count: Int, isEnd: (UInt64) -> Bool = { _ in false }) -> Ahead? {
        guard maximumWindow > 0, count > 0 else { return nil }
        clock += 1
        let readEnd = offset + UInt64(count)
        guard let index = stream(near: offset) else {
            add(offset, readEnd)
            return nil
        }
        streams[index].lastUsed = clock
        // One read, looked for in two places: its bytes count once.
        guard streams[index].last != offset..<readEnd else { return nil }
        streams[index].last = offset..<readEnd
        let before = streams[index]
        let next = max(before.next, readEnd)
        let bytes = min(before.bytes + UInt64(count), next - before.start)
        streams[index].next = next
        streams[index].bytes = bytes
        // The same again is no progress.
        if next > before.next { streams[index].reads += 1 }
        // Jumps to and fro within the slack are no stream.
        guard bytes >= Self.minimumBytes, streams[index].reads >= 2, bytes * 2 >= next - before.start else {
            return nil
        }
        if before.window == 0 {
            streams[index].window = 1
        } else if next / chunkBytes > before.next / chunkBytes {
            streams[index].window = min(before.window * 2, maximumWindow)
            if isEnd((before.next - 1) / chunkBytes) { streams[index].crossed += 1 }
        }
        let target = min((next / chunkBytes + 1 + UInt64(streams[index].window)) * chunkBytes, end)
        // The rest of the chunk that is being read comes with it.
        let start = max(before.fetched, (next + chunkBytes - 1) / chunkBytes * chunkBytes)
        guard start < target else { return nil }
        streams[index].fetched = target
        return Ahead(
            range: start..<target, crossings: streams[index].crossed * 2, long: before.start + Self.longBytes,
            stream: before.number)
    }

    /// The chunks' places that the stream of the read at `offset` has left behind since this was asked last, if it is a
    /// long one; the last one that it has come through is not among them, because reads may overtake each other.
    mutating func leftBehind(at offset: UInt64) -> Range<UInt64>? {
        guard let index = stream(near: offset), streams[index].bytes >= Self.longBytes else { return nil }
        let first = max(streams[index].left, streams[index].start / chunkBytes)
        let end = max(first, max(streams[index].next / chunkBytes, 1) - 1)
        streams[index].left = end
        return first..<end
    }

    /// Not all of `ahead` was begun: it is asked for again with the stream's next read.
    mutating func stopped(_ ahead: Ahead, at offset: UInt64) {
        guard let index = streams.firstIndex(where: { $0.number == ahead.stream }) else { return }
        streams[index].fetched = min(streams[index].fetched, offset)
    }

    private func stream(near offset: UInt64) -> Int? {
        var best: (index: Int, distance: UInt64)?
        for (index, stream) in streams.enumerated() where offset >= stream.start {
            let distance = offset > stream.next ? offset - stream.next : stream.next - offset
            if distance <= Self.slack, distance < best?.distance ?? .max { best = (index, distance) }
        }
        return best?.index
    }

    private mutating func add(_ offset: UInt64, _ end: UInt64) {
        if streams.count == Self.maximumStreams,
            let oldest = streams.indices.min(by: { streams[$0].lastUsed < streams[$1].lastUsed })
        {
            streams.remove(at: oldest)
        }
        streams.append(
            Stream(
                number: clock, start: offset, next: end, last: offset..<end, bytes: end - offset, fetched: 0,
                lastUsed: clock))
    }
}
