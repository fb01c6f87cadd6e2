internal import CacheBase
internal import CacheCrypto
internal import CacheFiles
internal import CacheManifests
internal import NIOCore

/// Reads one image of what `docker save` writes: `manifest.json`, which names a configuration and layers by their path
/// in the archive.
struct DockerArchiveReader {
    let files: LayoutFiles
    let limits: ImportLimits

    /// Optional fields: Docker is written in Go, which encodes an empty list as `null` or leaves it out.
    private struct Item: Decodable, Hashable {
        var configuration: String?
        var tags: [String]?
        var layers: [String]?

        enum CodingKeys: String, CodingKey {
            // As ``JSONDocument`` calls `Config`, `RepoTags` and `Layers`.
            case configuration = "config"
            case tags = "repoTags"
            case layers
        }

        /// The entry without its names, so that one image under two names compares as equal.
        var image: Item { Item(configuration: configuration, tags: nil, layers: layers ?? []) }
    }

    /// - Parameters:
    ///   - reference: a name that the archive gives it; may be absent where there is one image.
    ///   - digest: of its configuration, which is what docker calls its ID.
    func image(_ reference: String?, digest: SHA256Digest?) throws -> ImageSource {
        guard let range = try files.find("manifest.json") else {
            throw CacheError(
                .unsupported,
                "\(files.name) has no manifest.json: it is no docker archive, or one from before docker 1.10")
        }
        let name = "manifest.json of \(files.name)"
        let items =
            try JSONDocument.decode(
                [Item]?.self, from: range.readDocument(limits.json), name: name, limits: limits.json) ?? []
        guard items.count <= limits.indexEntries else {
            throw Limit.indexEntries.exceeded("\(name) lists more than \(limits.indexEntries) images")
        }
        return try image(of: select(reference, digest, from: items), name: name)
    }

    private func select(_ reference: String?, _ digest: SHA256Digest?, from items: [Item]) throws -> Item {
        var matches = items
        if let reference {
            let wanted = DockerName.canonical(reference)
            matches = items.filter { $0.tags?.contains { DockerName.canonical($0) == wanted } ?? false }
        }
        if let digest { matches = try matches.filter { try self.digest(of: $0) == digest } }
        // One image can be listed twice, under one name or several.
        var seen: Set<Item> = []
        matches = matches.filter { seen.insert($0.image).inserted }
        if matches.count == 1 { return matches[0] }
        let wanted = [reference.map { "'\($0)'" }, digest.map { "sha256:\($0)" }].compactMap { $0 }.joined(
            separator: " ")
        guard !items.isEmpty else { throw CacheError(.missing, "\(files.name) has no image") }
        if matches.isEmpty {
            throw CacheError(
                .missing, "\(files.name) has no image \(wanted): it has \(try names(items) ?? labels(items))")
        }
        if let names = names(matches) {
            throw CacheError(.invalidInput, "\(files.name) has \(matches.count) images, name one: \(names)")
        }
        throw CacheError(
            .invalidInput,
            "\(files.name) has \(matches.count) different images\(wanted.isEmpty ? "" : " ")\(wanted): "
                + "\(try labels(matches)):"
                + " choose one with docker-archive:\(files.name)@sha256:...")
    }

    /// All names, where each image has one of its own.
    private func names(_ items: [Item]) -> String? {
        let names = items.map { Set(($0.tags ?? []).map(DockerName.canonical)) }
        let isTold = names.allSatisfy { !$0.isEmpty } && Set(names.joined()).count == names.reduce(0) { $0 + $1.count }
        return isTold ? items.flatMap { $0.tags ?? [] }.prefix(20).joined(separator: ", ") : nil
    }

    private func labels(_ items: [Item]) throws -> String {
        let labels = try items.prefix(20).map { item in
            let digest = try digest(of: item).map { "sha256:\($0)" } ?? "no configuration"
            return "\(digest) (\((item.tags ?? []).isEmpty ? "no name" : (item.tags ?? []).joined(separator: ", ")))"
        }
        return labels.joined(separator: ", ") + (items.count > 20 ? " and \(items.count - 20) more" : "")
    }

    /// Of the configuration; `nil` where that is not there.
    private func digest(of item: Item) throws -> SHA256Digest? {
        guard let path = item.configuration.nonEmpty else { return nil }
        if let digest = Self.digest(in: path) { return digest }
        return try files.find(path)?.readDocument(limits.json).withUnsafeBytes { SHA256Digest(hashing: $0) }
    }

    private func image(of item: Item, name: String) throws -> ImageSource {
        let paths = item.layers ?? []
        try ImageSource.check(layerCount: paths.count, of: name)
        guard let configurationPath = item.configuration.nonEmpty else {
            throw CacheError(.invalidInput, "\(name) lists an image without a configuration")
        }
        let bytes = try files.require(configurationPath).readDocument(limits.json)
        let configurationName = "\(configurationPath) of \(files.name)"
        if let digest = Self.digest(in: configurationPath),
            bytes.withUnsafeBytes({ SHA256Digest(hashing: $0) }) != digest
        {
            throw CacheError(.corrupt, "\(configurationName) is not what its digest says: save the image again")
        }
        let configuration = try JSONDocument.decode(
            OCIConfiguration.self, from: bytes, name: configurationName, limits: limits.json)
        let diffIDs = try configuration.layerDigests(in: configurationName)
        guard diffIDs.count == paths.count else {
            throw CacheError(
                .invalidInput, "\(name) has \(paths.count) layers, but its configuration lists \(diffIDs.count)")
        }
        let layers = try zip(paths, diffIDs).map { path, diffID in
            let range = try files.require(path)
            let layerName = "layer \(path) of \(files.name)"
            return LayerSource(name: layerName, diffID: diffID, compressedSize: range.size) { [limits] in
                try CompressionFormat.decompress(
                    FileRangeSource(range), name: layerName, compressedSize: range.size, limit: limits.expansionLimit)
            }
        }
        return ImageSource(origin: .dockerArchive, configuration: ByteBuffer(bytes: bytes), layers: layers)
    }

    /// The digest that a configuration's path holds (`<digest>.json`, or `blobs/sha256/<digest>` since docker 25), if
    /// it does.
    private static func digest(in path: String) -> SHA256Digest? {
        guard let last = path.split(separator: "/").last else { return nil }
        return SHA256Digest(hex: last.hasSuffix(".json") ? last.dropLast(5) : last)
    }
}
