internal import CacheCore
internal import Logging
internal import NIOConcurrencyHelpers
internal import NIOCore
internal import NIOPosix

/// The index that this host has made of an image. Its chunks are in L1 and nowhere else; what L1 loses, or where there
/// is none, is made again and kept in memory for as long as the image is open as a device.
final class LocalIndex: Sendable {
    private let image: CachedImage
    private let index: ImageIndex
    private let remaking: SingleFlight<ManifestID, Void> = SingleFlight()
    private let remade: NIOLockedValueBox<MadeIndex?>

    private init(_ image: CachedImage, _ index: ImageIndex, remade: MadeIndex?) {
        self.image = image
        self.index = index
        self.remade = NIOLockedValueBox(remade)
    }

    /// The device; it keeps the index alive.
    var layout: DeviceLayout { DeviceLayout(index) { try await self.chunk($0) } }

    /// The index that L1 has of the image, or a new one.
    /// - Parameter refs: where the host remembers what it has in L1.
    static func find(_ image: CachedImage, _ refs: RememberedRefs?) async throws -> LocalIndex {
        if let known = try await kept(image, refs) { return LocalIndex(image, known, remade: nil) }
        let made = try await MadeIndex.make(image)
        if image.origin.reader.l1 == nil {
            guard made.isInMemory else {
                throw CacheError(
                    .limitExceeded,
                    "\(image.reference) was pushed without an index, and its metadata is too large to be kept in memory"
                        + ": give this host an L1, or push the image again")
            }
            return LocalIndex(image, made.index, remade: made)
        }
        try await keep(made.index, of: image, refs)
        return LocalIndex(image, made.index, remade: nil)
    }

    // MARK: L1

    private static func name(_ image: CachedImage) -> RememberedRef.Name {
        RememberedRef.Name(ofIndexFor: image.id, keys: image.origin.keys)
    }

    /// `nil` if L1 has none that this build would have made.
    private static func kept(_ image: CachedImage, _ refs: RememberedRefs?) async throws -> ImageIndex? {
        let (keys, reader) = (image.origin.keys, image.origin.reader)
        guard let refs, let l1 = reader.l1, let id = try await refs.find(name(image), keys)?.record.manifest,
            case .hit(let sealed) = try await l1.sealed(ChunkID(id.digest))
        else { return nil }
        do {
            let index = try ImageIndex.open(sealed, expecting: id, keys: keys, regionSlots: image.regionSlots)
            return index.writerVersion == ErofsWriter.version ? index : nil
        } catch let error as CacheError {
            // Its name was right, so another version wrote it.
            reader.logger.debug("an index in L1 is not used", metadata: ["error": "\(error)"])
            return nil
        }
    }

    private static func keep(_ index: ImageIndex, of image: CachedImage, _ refs: RememberedRefs?) async throws {
        let (keys, reader) = (image.origin.keys, image.origin.reader)
        let (id, sealed) = try index.seal(with: keys, regionSlots: image.regionSlots)
        // One that is longer than a chunk, of an image with thousands of sparse files, is made at each first use.
        guard let refs, let l1 = reader.l1, sealed.readableBytes <= ChunkLimits.sealedBytes else { return }
        try await l1.put(ChunkID(id.digest), sealed, TierGap())
        let record = RefRecord(generation: index.generation, manifest: id, setAt: 0)
        refs.remember(
            name(image), RememberedRef(record: record, pieces: nil, seenAt: reader.configuration.now()), keys)
    }

    // MARK: Chunks that L1 has lost

    /// The plaintext of a chunk of the metadata that no tier has.
    private func chunk(_ number: Int) async throws -> ByteBuffer {
        guard index.metadata.indices.contains(number) else {
            throw CacheError(.invalidInput, "the metadata of \(image.reference) has no chunk \(number)")
        }
        if let bytes = try await remadeChunk(number) { return bytes }
        _ = try await remaking.join(image.id) {
            let made = try await MadeIndex.make(self.image)
            guard made.index.isSameDevice(as: self.index) else {
                throw CacheError(
                    .corrupt, "the metadata of \(self.image.reference) is not what it was: mount the image again")
            }
            self.remade.withLockedValue { $0 = made }
        }
        guard let bytes = try await remadeChunk(number) else {
            throw CacheError(
                .limitExceeded,
                "L1 does not keep the metadata of \(image.reference): give it more room, or push the image again")
        }
        return bytes
    }

    private func remadeChunk(_ number: Int) async throws -> ByteBuffer? {
        guard let made = remade.withLockedValue({ $0 }), made.index.metadata.indices.contains(number) else {
            return nil
        }
        let ref = made.index.metadata[number]
        let reader = image.origin.reader
        if made.sealed.indices.contains(number) {
            return try await reader.pool.runIfActive {
                if ref.isZero { return ByteBuffer(repeating: 0, count: Int(ref.plainLength)) }
                return try PlainBuffer.open(ref, made.sealed[number], from: nil)
            }
        }
        guard case .hit(let bytes) = try await reader.l1?.get(ref, buffers: nil) else { return nil }
        return bytes
    }
}
