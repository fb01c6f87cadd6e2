internal import CacheCore
internal import NIOCore
internal import NIOPosix

extension CachedImage {
    /// The files of the image, its layers applied over one another. Reads the entry tables of all layers and nothing
    /// else.
    ///
    /// - Parameter pool: where the tables are read, which takes about a second for a million files.
    /// - Throws: `.invalidInput` that names layer and entry if the layers make no tree, or for a raw file; `.corrupt`
    ///   for damaged tables; else as the tiers do.
    func tree(on pool: NIOThreadPool) async throws -> ImageTree {
        guard !layers.contains(where: { $0.kind == .file }) else {
            throw CacheError(.invalidInput, "this is a raw file: pull it to file:FILE")
        }
        let builder = SharedTreeBuilder(
            expecting: layers.reduce(0) { $0 &+ Int(clamping: $1.manifest.entryCount) },
            whiteouts: manifest.source.hasWhiteouts)
        let chunks = layers.flatMap { layer in layer.manifest.entries.map { (layer: layer, ref: $0) } }
        var tables = OrderedFetch(count: chunks.count, ahead: chunks.first?.layer.readAhead ?? 1) { number in
            try await chunks[number].layer.chunk(chunks[number].ref, use: .recycled)
        }
        for (index, layer) in layers.enumerated() {
            let name = layerName(index)
            try await pool.runIfActive { try builder.with { try $0.beginLayer(name) } }
            for _ in layer.manifest.entries {
                let bytes = try await tables.next()
                try await pool.runIfActive {
                    try bytes.withUnsafeReadableBytes { bytes in try builder.with { try $0.append(table: bytes) } }
                }
                layer.recycle(bytes)
            }
            try await pool.runIfActive { try builder.with { try $0.endLayer() } }
        }
        return try await pool.runIfActive { builder.finish() }
    }

    private func layerName(_ index: Int) -> String {
        let name = manifest.layers.indices.contains(index) ? manifest.layers[index].name : ""
        return name.isEmpty ? "layer \(index)" : name
    }
}
