internal import CacheCore
internal import Logging
internal import NIOCore
internal import NIOPosix

/// Manifests are immutable and named by their content, so L1 and L2 keep them as they keep chunks: one of up to 512 KiB
/// under its own name, a longer one in pieces, each under the name of its content.
extension TieredReader {
    /// A sealed manifest out of the nearest tier, checked against its name, and how it is cut if it is.
    ///
    /// - Parameter known: how manifests of this image were cut when the host saw them last.
    /// - Throws: ``CacheError``: `.missing` or `.corrupt` if L3 has no right copy, naming the object; `.timedOut`,
    ///   `.io`.
    func manifest(
        _ id: ManifestID, _ generation: Generation, _ known: ManifestPieces, _ counter: ReadCounter
    ) async throws -> (sealed: ByteBuffer, cut: ManifestPieces.Cut?) {
        if let cut = known.cuts[id] {
            if let sealed = try await assemble(id, cut, counter, insisting: false) { return (sealed, cut) }
            do {
                let whole = try await l3.manifest(id, in: generation)
                try await check(whole, id)
                return (whole, try await keepInPieces(whole, counter))
            } catch let error as CacheError {
                guard let sealed = try await assemble(id, cut, counter, insisting: true) else { throw error }
                return (sealed, cut)
            }
        }
        let name = ChunkID(id.digest)
        if let sealed = try await fromL1(name, counter) { return (sealed, nil) }
        let found = try await lower.read(name, counter, countsFailures: false) { [l3] in
            try await l3.manifest(id, in: generation)
        } open: { sealed, _ in
            try await self.check(sealed, id)
        }
        let sealed = found.sealed
        if ManifestPieces.cuts(sealed.readableBytes) {
            return (sealed, try await keepInPieces(sealed, counter))
        }
        await fills.fill(name, sealed, l2: found.gap)
        return (sealed, nil)
    }

    /// Reads a list that ``keep(_:_:)`` kept; empty if no tier has it any more.
    ///
    /// - Parameter insisting: whether L3 is away, so that L2 is asked however slow it has been.
    func pieces(_ list: ChunkID, _ counter: ReadCounter, insisting: Bool) async throws -> ManifestPieces {
        guard let bytes = try await blob(list, counter, insisting: insisting) else { return ManifestPieces() }
        do { return try ManifestPieces(decoding: bytes) } catch {
            // Its name was right, so it was written by another version.
            logger.debug("a list of manifest pieces is not used", metadata: ["error": "\(error)"])
            return ManifestPieces()
        }
    }

    /// Keeps the list of all manifests that were cut; `nil` if none was.
    func keep(_ pieces: ManifestPieces, _ counter: ReadCounter) async throws -> ChunkID? {
        guard !pieces.cuts.isEmpty, let list = pieces.encoded() else { return nil }
        let id = ChunkID(list.withUnsafeReadableBytes { SHA256Digest(hashing: $0) })
        if try await blob(id, counter, insisting: false) == nil { await fills.fill(id, list, l2: TierGap()) }
        return id
    }

    // MARK: Whole manifests

    private func check(_ sealed: ByteBuffer, _ id: ManifestID) async throws {
        guard try await pool.runIfActive({ Self.isNamed(sealed, id.digest) }) else {
            throw CacheError(.corrupt, "manifest \(id) is damaged, its SHA-256 is not its name: push the image again")
        }
    }

    static func isNamed(_ bytes: ByteBuffer, _ name: SHA256Digest) -> Bool {
        bytes.withUnsafeReadableBytes { SHA256Digest(hashing: $0) } == name
    }

    // MARK: Pieces

    /// L3 has no object of that name.
    private struct NotInL3: Error {}

    private func fromL1(_ id: ChunkID, _ counter: ReadCounter) async throws -> ByteBuffer? {
        switch try await l1?.sealed(id) {
        case .hit(let bytes): return bytes
        case .miss(dropped: true): counter.repaired(.l1)
        case .miss(dropped: false), .unavailable, nil: break
        }
        return nil
    }

    /// The bytes of a name that L3 knows nothing of, checked; `nil` if neither L1 nor L2 has them. What came from L2
    /// fills L1.
    private func blob(_ id: ChunkID, _ counter: ReadCounter, insisting: Bool) async throws -> ByteBuffer? {
        if let bytes = try await fromL1(id, counter) { return bytes }
        do {
            let found = try await lower.read(id, counter, countsFailures: false, asking: .toLook) {
                if insisting { throw CacheError(.missing, "no object of L3 has that name") }
                throw NotInL3()
            } open: { bytes, _ in
                guard try await pool.runIfActive({ Self.isNamed(bytes, id.digest) }) else {
                    throw CacheError(.corrupt, "a piece of a manifest does not match its name")
                }
            }
            await fills.fill(id, found.sealed, l2: nil)
            return found.sealed
        } catch is NotInL3 {
            return nil
        } catch let error as CacheError where insisting && error.code == .missing {
            return nil
        }
    }

    /// A manifest from its pieces; `nil` if one of them is in neither tier, or they are not that manifest.
    private func assemble(
        _ id: ManifestID, _ cut: ManifestPieces.Cut, _ counter: ReadCounter, insisting: Bool
    ) async throws -> ByteBuffer? {
        var sealed = ByteBufferAllocator().buffer(capacity: cut.byteCount)
        for (index, piece) in cut.pieces.enumerated() {
            guard let bytes = try await blob(piece, counter, insisting: insisting),
                bytes.readableBytes == cut.length(of: index)
            else { return nil }
            sealed.writeImmutableBuffer(bytes)
        }
        return try await pool.runIfActive { [sealed] in Self.isNamed(sealed, id.digest) ? sealed : nil }
    }

    /// Cuts a manifest and fills the tiers above L3 with those of its pieces that they do not have: of a thousand hosts
    /// that start cold, one puts them into L2.
    private func keepInPieces(_ sealed: ByteBuffer, _ counter: ReadCounter) async throws -> ManifestPieces.Cut {
        var pieces: [ChunkID] = []
        for start in stride(from: 0, to: sealed.readableBytes, by: ManifestPieces.pieceBytes) {
            let length = min(ManifestPieces.pieceBytes, sealed.readableBytes - start)
            // In memory of its own: a piece that waits for its tier must not hold the whole.
            var piece = buffers.take()
            sealed.withUnsafeReadableBytes { _ = piece.writeBytes($0[start..<start + length]) }
            let id = try await pool.runIfActive { [piece] in piece.withUnsafeReadableBytes { ChunkID(ofSealed: $0) } }
            pieces.append(id)
            if try await blob(id, counter, insisting: false) == nil {
                await fills.fill(id, piece, l2: TierGap())
            } else {
                buffers.give(piece)
            }
        }
        return ManifestPieces.Cut(byteCount: sealed.readableBytes, pieces: pieces)
    }
}
