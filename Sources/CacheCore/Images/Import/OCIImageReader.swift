internal import CacheBase
internal import CacheCrypto
internal import CacheFiles
internal import CacheManifests
internal import NIOCore

/// Reads one image of an OCI layout (image specification 1.1), or one that docker's media types describe.
struct OCIImageReader {
    /// An index may name an index. Real ones do so once.
    private static let indexDepth = 4

    let files: LayoutFiles
    let limits: ImportLimits

    /// - Parameters:
    ///   - tag: the name that the layout's index gives it; may be absent where there is one image.
    ///   - digest: of a manifest or an index, listed or not.
    func image(tag: String?, digest: SHA256Digest?) throws -> ImageSource {
        if let digest { return try image(digest, tag: tag) }
        let manifests = try index().manifests ?? []
        return try image(at: descriptor(tag, in: manifests), depth: 0)
    }

    private func index() throws -> OCIDocument {
        let name = "\(files.name)/index.json"
        guard let range = try files.find("index.json") else {
            throw CacheError(.missing, "\(files.name) is not an OCI image layout: it has no index.json")
        }
        let index =
            try JSONDocument.decode(
                OCIDocument?.self, from: range.readDocument(limits.json), name: name, limits: limits.json)
            ?? OCIDocument()
        try checkCount(index, name: name)
        return index
    }

    // MARK: Which image

    /// What the digest names, as long as it is in the layout: it need not be in the index.
    private func image(_ digest: SHA256Digest, tag: String?) throws -> ImageSource {
        guard let range = try files.find("blobs/sha256/\(digest)") else {
            let known = try (index().manifests ?? []).uniqued().prefix(20).map(\.digest).joined(separator: ", ")
            throw CacheError(
                .missing, "\(files.name) has no image sha256:\(digest): it has \(known.isEmpty ? "none" : known)")
        }
        if let tag {
            let named = try (index().manifests ?? []).filter { $0.isNamed(tag) }
            guard named.contains(where: { $0.digest == "sha256:\(digest)" }) else {
                throw CacheError(.missing, "\(files.name) has no image '\(tag)' that is sha256:\(digest)")
            }
        }
        return try image(at: OCIDescriptor(digest: "sha256:\(digest)", size: range.size), depth: 0)
    }

    /// The one entry of the layout's index that is meant.
    private func descriptor(_ tag: String?, in manifests: [OCIDescriptor]) throws -> OCIDescriptor {
        let names = Set(manifests.compactMap(\.name)).sorted()
        guard let tag else {
            // Several names of one image are one image.
            if names.count > 1, manifests.filter({ !$0.isNoImage }).uniqued().count > 1 {
                throw CacheError(
                    .invalidInput,
                    "\(files.name) has several images, name one: \(names.prefix(20).joined(separator: ", "))")
            }
            return try choice(files.name).choose(from: manifests)
        }
        let candidates = manifests.filter { $0.isNamed(tag) }
        guard !candidates.isEmpty else {
            let known = names.isEmpty ? "it has no tags" : "it has \(names.prefix(20).joined(separator: ", "))"
            throw CacheError(.missing, "\(files.name) has no image '\(tag)': \(known)")
        }
        return try choice("\(files.name), image '\(tag)',").choose(from: candidates)
    }

    private func choice(_ name: String) -> OCIImageChoice {
        OCIImageChoice(name: name, form: "\(form):\(files.name)") { descriptor in
            try platform(of: descriptor, depth: 0)
        }
    }

    private var form: String {
        switch files {
        case .directory: "oci"
        case .archive: "oci-archive"
        }
    }

    /// What the configuration says. An index runs on what the image in it does that would be chosen.
    private func platform(of descriptor: OCIDescriptor, depth: Int) throws -> OCIPlatform {
        let (document, name) = try document(descriptor)
        switch try document.kind(descriptor, name: name) {
        case .manifest: return try configuration(of: document, name: name).configuration.platform
        case .index:
            let inner = try inner(document, name: name, depth: depth)
            if let platform = inner.platform, platform.isComplete { return platform }
            return try platform(of: inner, depth: depth + 1)
        }
    }

    private func image(at descriptor: OCIDescriptor, depth: Int) throws -> ImageSource {
        let (document, name) = try document(descriptor)
        switch try document.kind(descriptor, name: name) {
        case .manifest: return try image(of: document, name: name)
        case .index: return try image(at: inner(document, name: name, depth: depth), depth: depth + 1)
        }
    }

    private func inner(_ index: OCIDocument, name: String, depth: Int) throws -> OCIDescriptor {
        guard depth < Self.indexDepth else {
            throw CacheError(
                .limitExceeded, "\(files.name) has an index in an index more than \(Self.indexDepth) times")
        }
        try checkCount(index, name: name)
        return try choice(name).choose(from: index.manifests ?? [])
    }

    private func checkCount(_ index: OCIDocument, name: String) throws {
        guard index.manifests?.count ?? 0 <= limits.indexEntries else {
            throw Limit.indexEntries.exceeded("\(name) lists more than \(limits.indexEntries) images")
        }
    }

    // MARK: The image

    private func document(_ descriptor: OCIDescriptor) throws -> (OCIDocument, name: String) {
        let (bytes, name) = try bytes(of: descriptor, kind: "manifest")
        return (try JSONDocument.decode(OCIDocument.self, from: bytes, name: name, limits: limits.json), name)
    }

    private func configuration(
        of manifest: OCIDocument, name: String
    ) throws -> (configuration: OCIConfiguration, bytes: [UInt8], name: String) {
        guard let descriptor = manifest.config else {
            throw CacheError(.invalidInput, "\(name) has no configuration: it is no image")
        }
        let (bytes, own) = try bytes(of: descriptor, kind: "configuration")
        return (try JSONDocument.decode(OCIConfiguration.self, from: bytes, name: own, limits: limits.json), bytes, own)
    }

    private func image(of manifest: OCIDocument, name: String) throws -> ImageSource {
        let descriptors = manifest.layers ?? []
        try ImageSource.check(layerCount: descriptors.count, of: name)
        for layer in descriptors {
            if let type = layer.mediaType.nonEmpty, !OCIMediaType.isLayer(type) {
                throw CacheError(
                    .unsupported,
                    "\(name) has a layer of type '\(type)', which is no plain image layer: convert the image to tars, "
                        + "plain or packed with gzip or zstd"
                )
            }
        }
        if let config = manifest.config?.mediaType, config == OCIMediaType.empty {
            let type = manifest.artifactType.nonEmpty ?? "unknown"
            throw CacheError(.unsupported, "\(name) is an artifact of type '\(type)' and no image: name another one")
        }
        let (configuration, bytes, configurationName) = try configuration(of: manifest, name: name)
        let diffIDs = try configuration.layerDigests(in: configurationName)
        guard diffIDs.count == descriptors.count else {
            let type = manifest.artifactType.nonEmpty.map { ": it is an artifact of type '\($0)' and no image" } ?? ""
            throw CacheError(
                .invalidInput,
                "\(name) has \(descriptors.count) layers, but its configuration lists \(diffIDs.count)\(type)")
        }
        let layers = try zip(descriptors, diffIDs).map { descriptor, diffID in
            try layer(descriptor, diffID: diffID)
        }
        return ImageSource(origin: .oci, configuration: ByteBuffer(bytes: bytes), layers: layers)
    }

    private func layer(_ descriptor: OCIDescriptor, diffID: SHA256Digest) throws -> LayerSource {
        let digest = try descriptor.sha256(in: files.name)
        let name = "layer sha256:\(digest) of \(files.name)"
        if descriptor.isForeign, try files.find(Self.path(of: digest)) == nil {
            throw CacheError(
                .missing, "\(name) is a foreign layer, which is not in it: fetch the image with its foreign layers")
        }
        let range = try blob(descriptor, digest: digest, name: name)
        let limits = limits
        return LayerSource(name: name, diffID: diffID, compressedSize: range.size) { readerCompares in
            // Not compressed: blob and layer are the same bytes under the same hash, and once is enough.
            if readerCompares, digest == diffID {
                return LimitedSource(FileRangeSource(range), name: name, limit: limits.expansionLimit)
            }
            let blob = VerifiedBlob(range, digest: digest, name: name)
            return try VerifiedLayer(blob: blob, name: name, compressedSize: range.size, limits: limits)
        }
    }

    private static func path(of digest: SHA256Digest) -> String { "blobs/sha256/\(digest)" }

    private func blob(_ descriptor: OCIDescriptor, digest: SHA256Digest, name: String) throws -> FileRange {
        let range = try files.require(Self.path(of: digest))
        // Where no size is given, the digest alone proves that all bytes are there.
        guard let size = descriptor.size, size != range.size else { return range }
        throw CacheError(
            .corrupt, "\(name) has \(range.size) bytes where its manifest says \(size): fetch the image again")
    }

    /// A small blob, whole and verified.
    private func bytes(of descriptor: OCIDescriptor, kind: String) throws -> (bytes: [UInt8], name: String) {
        let digest = try descriptor.sha256(in: files.name)
        let name = "\(kind) sha256:\(digest) of \(files.name)"
        let bytes = try blob(descriptor, digest: digest, name: name).readDocument(limits.json)
        guard bytes.withUnsafeBytes({ SHA256Digest(hashing: $0) }) == digest else {
            throw CacheError(.corrupt, "\(name) is not what its digest says: fetch the image again")
        }
        return (bytes, name)
    }
}

extension OCIDescriptor {
    /// A layer that its publisher does not allow to be kept with the image (a "foreign" layer): it is not in the
    /// layout.
    fileprivate var isForeign: Bool {
        mediaType.map { $0.contains(".nondistributable.") || $0.contains(".foreign.") } ?? false
    }

    /// What the layout's index calls it.
    fileprivate var name: String? { annotation(OCIAnnotation.referenceName) }

    /// Docker gives only the tag as the name, and the whole name besides.
    fileprivate func isNamed(_ name: String) -> Bool {
        if self.name == name { return true }
        return annotation(OCIAnnotation.containerdName).map {
            DockerName.canonical($0) == DockerName.canonical(name) && name.contains("/")
        } ?? false
    }
}
