internal import CacheCore
internal import Logging
internal import NIOCore
internal import NIOPosix
internal import Synchronization

/// Manifests are immutable and named by their content, so L1 and L2 keep them as they keep chunks: one of up to 512 KiB under its own name, a
/// longer one in pieces, each under the name of its content.
extension TieredReader {
    /// A sealed manifest out of the nearest tier, checked against its name, and how it is cut if it is.
    ///
    /// - Parameter known: how manifests of this image were cut when the host saw them last.
    /// - Throws: ``CacheError``: `.missing` or `.corrupt` if L3 has no right copy, naming the object; `.timedOut`, `.io`.
    func manifest(
        _ id: ManifestID, _ generation: Generation, _ known: ManifestPieces, _ counter: ReadCounter
    ) async throws -> (sealed: ByteBuffer, cut: ManifestPieces.Cut?) {
        let missing = MissingInL2()
        if let cut = known.cuts[id] {
            if let sealed = try await assemble(id, cut, missing, counter) { return (sealed, cut) }
        } else if let sealed = try await blob(ChunkID(id.digest), missing, counter) {
            return (sealed, nil)
        }
        let object = L3Layout.manifest(id, in: generation)
        // Reading a range spares the store a hash; one byte more than any manifest has tells one that is too long.
        guard let sealed = try await l3.get(object, range: 0..<ManifestHeader.maximumBytes + 1) else {
            throw CacheError(.missing, "L3 object \(object) is gone: push the image again")
        }
        guard try await pool.runIfActive({ Self.isNamed(sealed, id.digest) }) else {
            throw CacheError(.corrupt, "manifest \(id) is damaged, its SHA-256 is not its name: push the image again")
        }
        guard ManifestPieces.cuts(sealed.readableBytes) else {
            let name = ChunkID(id.digest)
            await fills.fill(name, sealed, l2: missing.contains(name))
            return (sealed, nil)
        }
        return (sealed, try await keepInPieces(sealed, known.cuts[id] == nil ? nil : missing))
    }

    /// Reads a list that ``keep(_:_:)`` kept; empty if no tier has it any more.
    func pieces(_ list: ChunkID, _ counter: ReadCounter) async throws -> ManifestPieces {
        guard let bytes = try await blob(list, MissingInL2(), counter) else { return ManifestPieces() }
        // Its name was right, so what does not decode was written by another version.
        return (try? ManifestPieces(decoding: bytes)) ?? ManifestPieces()
    }

    /// Keeps the list of all manifests that were cut; `nil` if none was.
    func keep(_ pieces: ManifestPieces, _ counter: ReadCounter) async throws -> ChunkID? {
        guard !pieces.cuts.isEmpty, let list = pieces.encoded() else { return nil }
        let id = ChunkID(list.withUnsafeReadableBytes { SHA256Digest(hashing: $0) })
        let missing = MissingInL2()
        guard try await blob(id, missing, counter) == nil else { return id }
        await fills.fill(id, list, l2: missing.contains(id))
        return id
    }

    /// Which names L2 was asked for and said that it has not.
    final class MissingInL2: Sendable {
        private let ids = Mutex<Set<ChunkID>>([])

        func insert(_ id: ChunkID) { _ = ids.withLock { $0.insert(id) } }
        func contains(_ id: ChunkID) -> Bool { ids.withLock { $0.contains(id) } }
    }

    private static func isNamed(_ bytes: ByteBuffer, _ name: SHA256Digest) -> Bool {
        bytes.withUnsafeReadableBytes { SHA256Digest(hashing: $0) } == name
    }

    /// The bytes of a name out of L1 or L2, checked; `nil` if neither has them. What came from L2 fills L1.
    private func blob(_ id: ChunkID, _ missing: MissingInL2, _ counter: ReadCounter) async throws -> ByteBuffer? {
        if let l1 {
            switch try await l1.sealed(id) {
            case .hit(let bytes): return bytes
            case .miss(let dropped): if dropped { counter.repaired(.l1) }
            case .unavailable: break
            }
        }
        guard let l2 else { return nil }
        switch try await l2.get(id) {
        case .hit(let bytes):
            guard try await pool.runIfActive({ Self.isNamed(bytes, id.digest) }) else {
                logger.warning("L2 delivered a damaged manifest", metadata: ["name": "\(id)"])
                counter.repaired(.l2)
                missing.insert(id)
                buffers.give(bytes)
                return nil
            }
            await fills.fill(id, bytes, l2: false)
            return bytes
        case .miss(let dropped):
            if dropped { counter.repaired(.l2) }
            missing.insert(id)
        case .unavailable: break
        }
        return nil
    }

    /// A manifest from its pieces; `nil` if one of them is in neither tier, or they are not that manifest.
    private func assemble(
        _ id: ManifestID, _ cut: ManifestPieces.Cut, _ missing: MissingInL2, _ counter: ReadCounter
    ) async throws -> ByteBuffer? {
        var sealed = ByteBufferAllocator().buffer(capacity: cut.byteCount)
        for (index, piece) in cut.pieces.enumerated() {
            guard let bytes = try await blob(piece, missing, counter),
                bytes.readableBytes == cut.length(of: index)
            else { return nil }
            sealed.writeImmutableBuffer(bytes)
        }
        return try await pool.runIfActive { [sealed] in Self.isNamed(sealed, id.digest) ? sealed : nil }
    }

    /// Cuts a manifest and fills the tiers above L3 with its pieces.
    ///
    /// - Parameter missing: which of them L2 has not; `nil` if it was not asked. Then it is asked for the first one, which speaks for all: of a
    ///   thousand hosts that start cold, one puts them there.
    private func keepInPieces(_ sealed: ByteBuffer, _ missing: MissingInL2?) async throws -> ManifestPieces.Cut {
        var pieces: [ChunkID] = []
        var fillsL2 = false
        for start in stride(from: 0, to: sealed.readableBytes, by: ManifestPieces.pieceBytes) {
            // In memory of its own: a piece that waits for its tier must not hold the whole.
            var piece = buffers.take()
            let length = min(ManifestPieces.pieceBytes, sealed.readableBytes - start)
            if let part = sealed.getSlice(at: sealed.readerIndex + start, length: length) {
                piece.writeImmutableBuffer(part)
            }
            let id = try await pool.runIfActive { [piece] in piece.withUnsafeReadableBytes { ChunkID(ofSealed: $0) } }
            if missing == nil, start == 0, let l2 { fillsL2 = try await l2.has(id) == false }
            pieces.append(id)
            await fills.fill(id, piece, l2: missing?.contains(id) ?? fillsL2)
        }
        return ManifestPieces.Cut(byteCount: sealed.readableBytes, pieces: pieces)
    }
}
