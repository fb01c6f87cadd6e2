internal import CacheCore
internal import NIOCore
internal import NIOPosix

/// Chunks that are fetched ahead and are not to stay in memory: from the tiers below L1 into L1 as they are, checked
/// against their names and never opened.
extension TieredReader {
    /// What became of a chunk that was to be in L1.
    enum Keeping: Sendable {
        /// L1 had it already.
        case present
        case brought
        /// L1 refused the chunk, or was late.
        case refused
    }

    /// Brings a chunk from below L1 into L1 unless it is there; returns once L1 has it, however slowly it takes chunks.
    /// One flight for each chunk; a reader that comes to it meanwhile opens what the flight brings.
    ///
    /// - Throws: as ``chunk(_:)``.
    func bringToL1(_ request: ChunkRequest) async throws -> Keeping {
        guard let l1 else { return .refused }
        let id = request.ref.id
        return try await flights.toL1.join(request.key) { [self] in
            if try await l1.has(id) { return .present }
            let (found, isLeader) = try await sealed(request)
            let gap = isLeader ? found.gap : nil
            if let gap { await fills.fill(id, found.bytes, l1: false, l2: gap, isAhead: true) }
            let isKept = try await l1.keep(id, found.bytes)
            if isLeader, gap == nil { buffers.give(found.bytes) }
            return isKept ? .brought : .refused
        }.value
    }

    /// The plaintext of a chunk that is on its way to L1 alone; `nil` if it is not, or is not what the request's
    /// manifest says.
    func onItsWay(_ request: ChunkRequest) async throws -> ByteBuffer? {
        guard flights.sealed.isUnderWay(request.key) else { return nil }
        load.began(isAhead: request.isAhead)
        defer { load.ended(isAhead: request.isAhead) }
        let (found, isLeader) = try await sealed(request)
        let plain: ByteBuffer
        do { plain = try await open(found.bytes, for: request) } catch let error as CacheError
            where error.code == .corrupt
        {
            return nil
        }
        if !isLeader { request.counter.delivered(by: .memory, bytes: plain.readableBytes) }
        await fills.fill(request.ref.id, found.bytes, l2: isLeader ? found.gap : nil, isAhead: request.isAhead)
        return plain
    }

    private func sealed(_ request: ChunkRequest) async throws -> (value: SealedChunk, isLeader: Bool) {
        let ref = request.ref
        return try await flights.sealed.join(request.key) { [self] in
            let found = try await lower.read(ref.id, request.counter, isAhead: request.isAhead) { [l3] in
                try await l3.chunk(ref.id, in: request.generation)
            } open: { sealed, tier in
                try await checking(tier, for: request) { try await check(sealed, ref.id) }
            }
            request.counter.delivered(by: found.tier, bytes: found.sealed.readableBytes)
            return SealedChunk(bytes: found.sealed, gap: found.gap)
        }
    }

    func check(_ sealed: ByteBuffer, _ id: ChunkID) async throws {
        let isRight = try await pool.runIfActive { [load] in
            load.machine.measuring { Self.isNamed(sealed, id.digest) }
        }
        guard isRight else { throw CacheError(.corrupt, "chunk \(id) is damaged, its SHA-256 is not its name") }
    }
}
