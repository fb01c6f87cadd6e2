internal import NIOCore

/// Reads one image of an OCI layout (image specification 1.1), or one that docker's media types describe.
struct OCIImageReader {
    /// An index may name an index. Real ones do so once.
    private static let indexDepth = 4

    let files: LayoutFiles
    let limits: ImportLimits

    func image(tag: String?) throws -> ImageSource {
        let name = "\(files.name)/index.json"
        guard let range = try files.find("index.json") else {
            throw CacheError(.missing, "\(files.name) is not an OCI image layout: it has no index.json")
        }
        let bytes = try range.readDocument(limits)
        let index = try JSONDocument.decode(OCIIndex.self, from: bytes, name: name, limits: limits)
        try checkCount(index, name: name)
        return try image(at: select(tag, from: index.manifests))
    }

    // MARK: Which image

    private func select(_ tag: String?, from manifests: [OCIDescriptor]) throws -> OCIDescriptor {
        var candidates = manifests
        let tags = Set(manifests.compactMap { $0.annotations?[OCIAnnotation.referenceName] }).sorted()
        if let tag {
            candidates = manifests.filter { $0.annotations?[OCIAnnotation.referenceName] == tag }
            guard !candidates.isEmpty else {
                let known = tags.isEmpty ? "it has no tags" : "it has \(tags.prefix(20).joined(separator: ", "))"
                throw CacheError(.missing, "\(files.name) has no image '\(tag)': \(known)")
            }
        } else if tags.count > 1 {
            throw CacheError(
                .invalidInput, "\(files.name) has several images, name one: \(tags.prefix(20).joined(separator: ", "))")
        }
        return try forThisMachine(candidates, name: files.name)
    }

    /// The only image there is, or the one for this machine's architecture, or for linux/amd64.
    private func forThisMachine(_ candidates: [OCIDescriptor], name: String) throws -> OCIDescriptor {
        // Build tools list attestations as images of an unknown platform.
        let images = candidates.filter { $0.platform?.os != "unknown" }
        if images.count == 1 { return images[0] }
        for platform in [OCIPlatform.host, OCIPlatform(architecture: "amd64", os: "linux")] {
            if let match = images.first(where: { $0.platform == platform }) { return match }
        }
        let platforms = images.compactMap { $0.platform.map { "\($0.os)/\($0.architecture)" } }
        throw CacheError(
            .invalidInput,
            images.isEmpty
                ? "\(name) has no image" : "\(name) has \(images.count) images and none for this machine: \(platforms)")
    }

    private func image(at descriptor: OCIDescriptor) throws -> ImageSource {
        var descriptor = descriptor
        for _ in 0..<Self.indexDepth {
            let (bytes, name) = try document(descriptor, kind: "manifest")
            let probe = try JSONDocument.decode(MediaTypeProbe.self, from: bytes, name: name, limits: limits)
            switch descriptor.mediaType ?? probe.mediaType {
            case OCIMediaType.manifest, OCIMediaType.dockerManifest:
                let manifest = try JSONDocument.decode(OCIManifest.self, from: bytes, name: name, limits: limits)
                return try image(of: manifest, name: name)
            case OCIMediaType.index, OCIMediaType.dockerIndex:
                let index = try JSONDocument.decode(OCIIndex.self, from: bytes, name: name, limits: limits)
                try checkCount(index, name: name)
                descriptor = try forThisMachine(index.manifests, name: name)
            case let other:
                throw CacheError(
                    .unsupported, "\(name) has the media type '\(other ?? "none")', which is no image manifest")
            }
        }
        throw CacheError(.limitExceeded, "\(files.name) has an index in an index more than \(Self.indexDepth) times")
    }

    private struct MediaTypeProbe: Decodable {
        var mediaType: String?
    }

    private func checkCount(_ index: OCIIndex, name: String) throws {
        guard index.manifests.count <= limits.indexEntries else {
            throw Limit.indexEntries.exceeded("\(name) lists more than \(limits.indexEntries) images")
        }
    }

    // MARK: The image

    private func image(of manifest: OCIManifest, name: String) throws -> ImageSource {
        try ImageSource.check(layerCount: manifest.layers.count, of: name)
        for layer in manifest.layers where !OCIMediaType.isLayer(layer.mediaType ?? "") {
            throw CacheError(
                .unsupported,
                "\(name) has a layer of type '\(layer.mediaType ?? "none")', which is no plain image layer")
        }
        let (bytes, configurationName) = try document(manifest.config, kind: "configuration")
        let configuration = try JSONDocument.decode(
            OCIConfiguration.self, from: bytes, name: configurationName, limits: limits)
        let diffIDs = try configuration.layerDigests(in: configurationName)
        guard diffIDs.count == manifest.layers.count else {
            throw CacheError(
                .invalidInput,
                "\(name) has \(manifest.layers.count) layers, but its configuration lists \(diffIDs.count)")
        }
        let layers = try zip(manifest.layers, diffIDs).map { descriptor, diffID in
            try layer(descriptor, diffID: diffID)
        }
        return ImageSource(origin: .oci, configuration: ByteBuffer(bytes: bytes), layers: layers)
    }

    private func layer(_ descriptor: OCIDescriptor, diffID: SHA256Digest) throws -> LayerSource {
        let digest = try descriptor.sha256(in: files.name)
        let name = "layer sha256:\(digest) of \(files.name)"
        let range = try blob(descriptor, digest: digest, name: name)
        let limits = limits
        return LayerSource(name: name, diffID: diffID, compressedSize: range.size) { readerCompares in
            // Not compressed: blob and layer are the same bytes under the same hash, and once is enough.
            if readerCompares, digest == diffID {
                return LimitedSource(FileRangeSource(range), name: name, limits: limits)
            }
            let blob = VerifiedBlob(range, digest: digest, name: name)
            return try VerifiedLayer(blob: blob, name: name, compressedSize: range.size, limits: limits)
        }
    }

    private func blob(_ descriptor: OCIDescriptor, digest: SHA256Digest, name: String) throws -> FileRange {
        let range = try files.require("blobs/sha256/\(digest)")
        guard range.size == descriptor.size else {
            throw CacheError(
                .corrupt,
                "\(name) has \(range.size) bytes where its manifest says \(descriptor.size): fetch the image again")
        }
        return range
    }

    /// A small blob, whole and verified.
    private func document(_ descriptor: OCIDescriptor, kind: String) throws -> (bytes: [UInt8], name: String) {
        let digest = try descriptor.sha256(in: files.name)
        let name = "\(kind) sha256:\(digest) of \(files.name)"
        let bytes = try blob(descriptor, digest: digest, name: name).readDocument(limits)
        guard bytes.withUnsafeBytes({ SHA256Digest(hashing: $0) }) == digest else {
            throw CacheError(.corrupt, "\(name) is not what its digest says: fetch the image again")
        }
        return (bytes, name)
    }
}
