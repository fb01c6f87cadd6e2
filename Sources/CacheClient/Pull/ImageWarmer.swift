public import CacheCore
internal import NIOConcurrencyHelpers
internal import NIOCore

/// Brings all chunks of an image from L3 to L2, and says what is there in the end.
public struct ImageWarmer: Sendable {
    /// What L2 has of the image.
    public struct Report: Sendable, Hashable {
        /// All chunks of the image, each once, and their sealed bytes.
        public var image = TierCount()
        /// Those of them that are in L2 now, as its daemons say.
        public var arrived = TierCount()
        /// Those that were brought there now.
        public var stored = TierCount()
        /// A line for each daemon that did not answer or refused chunks, and for each kind of failure of L3.
        public var problems: [String] = []

        /// Nothing.
        public init() {}
    }

    private struct Chunk {
        let ref: ChunkRef
        let generation: Generation
    }

    private let image: CachedImage
    private let l2: L2Client

    /// - Parameter image: opened from a cache with an L2.
    /// - Throws: `.invalidInput` for an image of a cache that has none.
    public init(_ image: CachedImage) throws(CacheError) {
        guard let l2 = image.origin.reader.lower.l2 else {
            throw CacheError(.invalidInput, "there is no L2 to warm: name its daemons, for example --l2 http://l2:7070")
        }
        self.image = image
        self.l2 = l2
    }

    /// Asks each daemon what it lacks of its part, brings that from L3, and asks again. Chunks of a daemon that is away
    /// go to the next in their order, where readers look for them then. As many are under way as a read has ahead.
    ///
    /// - Throws: `CancellationError`; what the image's index fails with. Not that L2 or L3 is away: the report says so.
    public func warm() async throws -> Report {
        let chunks = try await chunks()
        var report = Report()
        report.image = count(Array(chunks.keys), chunks)
        var problems: [String: String] = [:]
        var away: Set<Int> = []
        var rest = Array(chunks.keys)
        // Each round has one daemon less, or is the last one.
        while !rest.isEmpty {
            let places = l2.places(of: rest, without: away)
            rest = []
            for (node, ids) in places {
                do {
                    let missing = try await l2.missing(ids, at: node)
                    let stored = try await bring(missing.compactMap { chunks[$0] }, to: node, &problems)
                    let absent = stored.isEmpty && !missing.isEmpty ? missing : try await l2.missing(ids, at: node)
                    report.stored += count(stored.filter { !absent.contains($0) }, chunks)
                    report.arrived += count(ids.filter { !absent.contains($0) }, chunks)
                    if !absent.isEmpty, problems["\(node.address)"] == nil, problems["L3"] == nil {
                        problems["\(node.address)"] = "\(absent.count) chunks are not there: is it too small for them?"
                    }
                } catch {
                    try Task.checkCancellation()
                    problems["\(node.address)"] = "\(error)"
                    away.insert(node.number)
                    rest += ids
                }
            }
        }
        report.problems = problems.sorted { $0.key < $1.key }.map { "\($0.key): \($0.value)" }
        return report
    }

    private func count(_ ids: [ChunkID], _ chunks: [ChunkID: Chunk]) -> TierCount {
        let bytes = ids.reduce(0) { $0 + Int(chunks[$1]?.ref.sealedLength ?? 0) }
        return TierCount(chunks: ids.count, bytes: bytes)
    }

    private func chunks() async throws -> [ChunkID: Chunk] {
        var chunks: [ChunkID: Chunk] = [:]
        func add(_ refs: some Sequence<ChunkRef>, _ generation: Generation) {
            for ref in refs where !ref.isZero { chunks[ref.id] = Chunk(ref: ref, generation: generation) }
        }
        for layer in image.layers { add(layer.manifest.distinctRefs, layer.manifest.generation) }
        if let index = try await image.index() { add(index.metadata, index.generation) }
        return chunks
    }

    /// The chunks that the daemon took.
    private func bring(
        _ chunks: [Chunk], to node: L2Node, _ problems: inout [String: String]
    ) async throws -> [ChunkID] {
        let ahead = max(image.origin.reader.configuration.readAhead, 1)
        return try await withThrowingTaskGroup(of: (id: ChunkID, problem: (who: String, what: String)?).self) { group in
            var stored: [ChunkID] = []
            var next = chunks.makeIterator()
            func begin() -> Bool {
                guard let chunk = next.next() else { return false }
                group.addTask { (chunk.ref.id, try await bring(chunk, to: node)) }
                return true
            }
            for _ in 0..<ahead where !begin() { break }
            while let (id, problem) = try await group.next() {
                if let problem { problems[problem.who] = problem.what } else { stored.append(id) }
                _ = begin()
            }
            return stored
        }
    }

    /// Who did not do its part, and what it said; `nil` if the daemon has the chunk.
    private func bring(_ chunk: Chunk, to node: L2Node) async throws -> (who: String, what: String)? {
        let reader = image.origin.reader
        let sealed: ByteBuffer
        do {
            sealed = try await reader.l3.chunk(chunk.ref.id, in: chunk.generation)
            try await reader.check(sealed, chunk.ref.id)
        } catch {
            try Task.checkCancellation()
            return ("L3", "\(error)")
        }
        switch try await l2.put(chunk.ref.id, sealed, into: node, nil) {
        case .success: return nil
        case .failure(let error): return ("\(node.address)", "\(error)")
        case nil: return ("\(node.address)", "it takes no chunks now")
        }
    }
}

extension TierCount {
    fileprivate static func += (count: inout Self, more: Self) {
        count.chunks += more.chunks
        count.bytes += more.bytes
    }
}
