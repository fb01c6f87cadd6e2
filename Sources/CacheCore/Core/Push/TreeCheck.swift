internal import CacheBase
internal import CacheChunks
internal import CacheLayers
internal import CacheManifests
internal import CacheObjectStore
internal import NIOCore
internal import NIOPosix

/// Makes sure that the files of an image can be unpacked, before a ref names it: its layers must make an ``ImageTree``.
///
/// Reads the entry tables back from L3, of known layers as well as of new ones: a few compressed bytes a file.
struct TreeCheck: Sendable {
    let store: any ObjectStore
    let deadlines: Deadlines
    let deadline: Duration
    let pool: NIOThreadPool

    private static let readAhead = 8

    /// The merged tree; `nil` for raw files.
    ///
    /// - Throws: ``CacheError`` `.invalidInput` that names layer and entry, for what no runtime unpacks; else of the
    ///   store, or `.corrupt` for a table that is damaged there.
    func check(_ layers: [LayerPusher.Pushed], whiteouts: Bool) async throws -> ImageTree? {
        // A raw file has no entries.
        guard layers.allSatisfy({ $0.manifest.kind == .tar }) else { return nil }
        let builder = SharedTreeBuilder(
            expecting: layers.reduce(0) { $0 &+ Int(clamping: $1.manifest.entryCount) }, whiteouts: whiteouts)
        let chunks = layers.flatMap { layer in layer.manifest.entries.map { (ref: $0, layer.manifest.generation) } }
        var tables = OrderedFetch(count: chunks.count, ahead: Self.readAhead) { number in
            try await read(chunks[number].ref, chunks[number].1)
        }
        for layer in layers {
            try builder.with { try $0.beginLayer(layer.report.name) }
            for ref in layer.manifest.entries {
                let sealed = try await tables.next()
                do {
                    try await pool.runIfActive { try Self.append(ref, sealed, to: builder) }
                } catch let error as CacheError where error.code == .corrupt {
                    throw CacheError(
                        .corrupt,
                        "L3 object \(L3Layout.chunk(ref.id, in: layer.manifest.generation)) is damaged: push the image"
                            + " again with --repair to restore it", cause: error)
                }
            }
            try builder.with { try $0.endLayer() }
        }
        return try await pool.runIfActive { builder.finish() }
    }

    private static func append(_ ref: ChunkRef, _ sealed: ByteBuffer, to builder: SharedTreeBuilder) throws {
        try withUnsafeTemporaryAllocation(byteCount: Int(ref.plainLength), alignment: 64) { plain in
            try sealed.withUnsafeReadableBytes { try ChunkOpener.current.open(ref, sealed: $0, into: plain) }
            try builder.with { try $0.append(table: UnsafeRawBufferPointer(plain)) }
        }
    }

    private func read(_ ref: ChunkRef, _ generation: Generation) async throws -> ByteBuffer {
        if ref.isZero { return ByteBuffer() }
        let key = L3Layout.chunk(ref.id, in: generation)
        let sealed = try await deadlines.run(deadline, "L3 object \(key)") {
            try await store.get(key, range: 0..<ChunkLimits.sealedBytes + 1)
        }
        guard let sealed else {
            throw CacheError(.missing, "L3 object \(key) is gone: push the image again with --repair to restore it")
        }
        return sealed
    }
}
