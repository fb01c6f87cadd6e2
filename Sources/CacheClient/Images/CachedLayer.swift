public import CacheCore
public import NIOCore

/// One layer of an open image.
///
/// The layer's file contents are its *data region*, an address space of 512 KiB slots in which reads are random access;
/// its exact tar bytes come back as a stream.
public struct CachedLayer: Sendable {
    /// The manifest's name in L3.
    public let id: ManifestID
    /// Which chunks the layer has, in which order, and their keys: treat it as a secret.
    public let manifest: LayerManifest
    let reader: TieredReader
    let counter: ReadCounter
    let readAhead: Int
    /// Where chunks that are read once are opened; `nil` for the reader's own threads.
    var line: OpeningLine?

    private static let maximumByteCount: UInt64 = 1 << 60
    /// The most bytes of one read: a buffer cannot hold 4 GiB.
    public static let maximumReadBytes = 1 << 30

    /// - Throws: `.corrupt` for a size that no layer can have, so that no sum of sizes and addresses can overflow from
    ///   here on.
    init(
        manifest: LayerManifest, id: ManifestID, reader: TieredReader, counter: ReadCounter, readAhead: Int
    ) throws(CacheError) {
        guard manifest.byteCount <= Self.maximumByteCount else {
            throw CacheError(
                .corrupt, "manifest \(id) says that its layer has \(manifest.byteCount) bytes: push the image again")
        }
        self.manifest = manifest
        self.id = id
        self.reader = reader
        self.counter = counter
        self.readAhead = max(readAhead, 1)
    }

    /// SHA-256 of the layer's uncompressed bytes.
    public var diffID: SHA256Digest { manifest.diffID }
    /// Size of the uncompressed tar or raw file.
    public var byteCount: Int { Int(manifest.byteCount) }
    /// Whether it is a tar or a raw file.
    public var kind: LayerKind { manifest.kind }

    /// The layer's bytes from front to back: the exact tar, or the raw file. Chunks are fetched ahead, in parallel.
    public var bytes: LayerBytes { LayerBytes(layer: self, use: .kept) }

    /// The layer's files in the order of the tar; none for a raw file.
    public var entries: LayerEntries { LayerEntries(layer: self) }

    /// Appends `count` bytes of the data region from `address` on to `buffer`; what pads a chunk to its slot reads as
    /// zeros.
    ///
    /// For a raw file, the region is the file. Fetches the chunks that it needs in parallel; copies each byte once.
    /// - Throws: `.invalidInput` if the range leaves the region, `.limitExceeded` beyond ``maximumReadBytes`` in the
    ///   buffer, else as the tiers do; then nothing is appended.
    public func read(at address: RegionAddress, count: Int, into buffer: inout ByteBuffer) async throws {
        try Self.checkRoom(for: count, in: buffer)
        var chunks = RegionChunks(self, try DataSpan.cover(address, count, slots: manifest.data.count))
        let start = buffer.writerIndex
        do {
            while let (span, bytes) = try await chunks.chunk() { span.copy(from: bytes, into: &buffer) }
        } catch {
            buffer.moveWriterIndex(to: start)
            throw error
        }
    }

    /// As ``read(at:count:into:)``, but fills `memory` of the caller, such as a page that a FUSE or NBD request answers
    /// with. Copies each byte once.
    ///
    /// - Parameter memory: must stay valid, and must not be used otherwise, until this returns or throws. If it throws,
    ///   its content is undefined.
    /// - Throws: as ``read(at:count:into:)``.
    nonisolated(nonsending) public func read(
        at address: RegionAddress, into memory: UnsafeMutableRawBufferPointer
    ) async throws {
        guard memory.count <= Self.maximumReadBytes else { throw Self.tooLarge(memory.count) }
        var chunks = RegionChunks(self, try DataSpan.cover(address, memory.count, slots: manifest.data.count))
        var position = 0
        while let (span, bytes) = try await chunks.chunk() {
            span.copy(
                from: bytes, into: UnsafeMutableRawBufferPointer(rebasing: memory[position...].prefix(span.count)))
            position += span.count
        }
    }

    /// As ``read(at:count:into:)``, but only if all chunks are in memory: never suspends, well under 2 us for 4 KiB.
    /// - Returns: false if a chunk is not in memory (nothing is appended then).
    public func readCached(at address: RegionAddress, count: Int, into buffer: inout ByteBuffer) throws -> Bool {
        try Self.checkRoom(for: count, in: buffer)
        let spans = try DataSpan.cover(address, count, slots: manifest.data.count)
        if spans.count == 1, let span = spans.first {
            guard let bytes = reader.cached(manifest.data[span.slot], counter: counter) else { return false }
            span.copy(from: bytes, into: &buffer)
            return true
        }
        var chunks: [ByteBuffer] = []
        for span in spans {
            guard let bytes = reader.cached(manifest.data[span.slot], counter: counter) else { return false }
            chunks.append(bytes)
        }
        for (span, bytes) in zip(spans, chunks) { span.copy(from: bytes, into: &buffer) }
        return true
    }

    static func checkRoom(for count: Int, in buffer: ByteBuffer) throws(CacheError) {
        guard count <= maximumReadBytes - buffer.readableBytes else { throw tooLarge(count) }
    }

    static func tooLarge(_ count: Int) -> CacheError {
        CacheError(.limitExceeded, "a read of \(count) bytes is too large: read at most \(maximumReadBytes) at once")
    }

    /// The plaintext of one of the layer's chunks, out of the nearest tier.
    /// - Parameter isAhead: no reader waits for it yet.
    func chunk(
        _ ref: ChunkRef, use: ChunkUse = .kept, isAhead: Bool = false, delivery: ChunkDelivery? = nil
    ) async throws -> ByteBuffer {
        try await reader.chunk(
            ChunkRequest(
                ref: ref, generation: manifest.generation, counter: counter, use: use, isAhead: isAhead,
                delivery: delivery, line: use == .recycled ? line : nil))
    }

    /// Waits for a chunk that was asked for ahead.
    func waiting<T>(_ body: () async throws -> T) async rethrows -> T { try await reader.load.waiting(body) }

    /// Gives the buffer of a ``ChunkUse/recycled`` chunk back, to be used for another one. Other readers that hold it
    /// keep their bytes.
    func recycle(_ bytes: consuming ByteBuffer) {
        reader.buffers.give(bytes)
    }
}
