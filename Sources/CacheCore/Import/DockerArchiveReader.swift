internal import NIOCore

/// Reads one image of what `docker save` writes: `manifest.json`, which names a configuration and layers by their path in the archive.
struct DockerArchiveReader {
    let files: LayoutFiles
    let limits: ImportLimits

    private struct Item: Decodable {
        var configuration: String
        var tags: [String]?
        /// Absent or null where an image has none.
        var layerPaths: [String]?
        var layers: [String] { layerPaths ?? [] }

        enum CodingKeys: String, CodingKey {
            case configuration = "Config"
            case tags = "RepoTags"
            case layerPaths = "Layers"
        }
    }

    func image(_ reference: String?) throws -> ImageSource {
        guard let range = try files.find("manifest.json") else {
            throw CacheError(
                .unsupported,
                "\(files.name) has no manifest.json: it is no docker archive, or one from before docker 1.10")
        }
        let bytes = try range.readDocument(limits)
        let name = "manifest.json of \(files.name)"
        let items = try JSONDocument.decode([Item].self, from: bytes, name: name, limits: limits)
        guard items.count <= limits.indexEntries else {
            throw Limit.indexEntries.exceeded("\(name) lists more than \(limits.indexEntries) images")
        }
        return try image(of: select(reference, from: items), name: name)
    }

    private func select(_ reference: String?, from items: [Item]) throws -> Item {
        let matches = items.filter { item in
            guard let reference else { return true }
            return item.tags?.contains { Self.canonical($0) == Self.canonical(reference) } ?? false
        }
        if matches.count == 1 { return matches[0] }
        let tags = items.flatMap { $0.tags ?? [] }.prefix(20).joined(separator: ", ")
        guard let reference else {
            throw CacheError(.invalidInput, "\(files.name) has \(items.count) images, name one: \(tags)")
        }
        throw CacheError(.missing, "\(files.name) has \(matches.count) images '\(reference)': it has \(tags)")
    }

    /// Docker's short names in full: `busybox` is `docker.io/library/busybox:latest`.
    private static func canonical(_ name: String) -> String {
        var parts = name.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
        let hasHost = parts.count > 1 && (parts[0].contains(".") || parts[0].contains(":") || parts[0] == "localhost")
        if !hasHost { parts.insert("docker.io", at: 0) }
        if parts[0] == "docker.io", parts.count == 2 { parts.insert("library", at: 1) }
        if let last = parts.last, !last.contains(":") { parts[parts.count - 1] = last + ":latest" }
        return parts.joined(separator: "/")
    }

    private func image(of item: Item, name: String) throws -> ImageSource {
        try ImageSource.check(layerCount: item.layers.count, of: name)
        let bytes = try files.require(item.configuration).readDocument(limits)
        let configurationName = "\(item.configuration) of \(files.name)"
        if let digest = Self.digest(in: item.configuration),
            bytes.withUnsafeBytes({ SHA256Digest(hashing: $0) }) != digest
        {
            throw CacheError(.corrupt, "\(configurationName) is not what its digest says: save the image again")
        }
        let configuration = try JSONDocument.decode(
            OCIConfiguration.self, from: bytes, name: configurationName, limits: limits)
        let diffIDs = try configuration.layerDigests(in: configurationName)
        guard diffIDs.count == item.layers.count else {
            throw CacheError(
                .invalidInput, "\(name) has \(item.layers.count) layers, but its configuration lists \(diffIDs.count)")
        }
        let layers = try zip(item.layers, diffIDs).map { path, diffID in
            let range = try files.require(path)
            let layerName = "layer \(path) of \(files.name)"
            return LayerSource(name: layerName, diffID: diffID, compressedSize: range.size) { [limits] in
                try CompressionFormat.decompress(
                    FileRangeSource(range), name: layerName, compressedSize: range.size, limits: limits)
            }
        }
        return ImageSource(origin: .dockerArchive, configuration: ByteBuffer(bytes: bytes), layers: layers)
    }

    /// The digest that a configuration's path holds (`<digest>.json`, or `blobs/sha256/<digest>` since docker 25), if it does.
    private static func digest(in path: String) -> SHA256Digest? {
        guard let last = path.split(separator: "/").last else { return nil }
        return SHA256Digest(hex: last.hasSuffix(".json") ? last.dropLast(5) : last)
    }
}
