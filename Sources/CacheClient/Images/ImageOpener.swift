internal import CacheCore
internal import NIOCore

/// Opens an image: its ref, its manifest, those of its layers.
struct ImageOpener: Sendable {
    let reader: TieredReader
    let refs: RememberedRefs?

    func open(_ reference: ImageReference, _ keys: TenantKeys, _ counter: ReadCounter) async throws -> CachedImage {
        let refResolver = RefResolver(
            l3: reader.l3.store, refs: refs, configuration: reader.configuration, deadlines: reader.deadlines)
        let ref = try await refResolver.read(reference, keys)
        do {
            return try await reader.deadlines.run(deadline, "L3, asked for the manifests of \(reference),") {
                let (image, pieces) = try await open(reference, ref, keys, counter)
                // Only what could be opened is worth remembering.
                if ref.isChecked {
                    let list = refs == nil ? nil : try await reader.keep(pieces, counter)
                    refs?.remember(
                        reference, RememberedRef(record: ref.record, pieces: list, seenAt: ref.seenAt), keys)
                }
                return image
            }
        } catch let error as CacheError where !ref.isChecked && [.io, .timedOut, .missing].contains(error.code) {
            throw CacheError(error.code, "L3 is away and this host has not all of \(reference)", cause: error)
        }
    }

    /// Opens the image of a manifest, whatever the reference names now.
    func open(
        _ reference: ImageReference, pinned pin: ImagePin, _ keys: TenantKeys, _ counter: ReadCounter
    ) async throws -> CachedImage {
        var remembered = try await refs?.find(RememberedRef.Name(ofImage: pin.manifest, keys: keys), keys)
        if remembered == nil { remembered = try await refs?.find(reference, keys) }
        let record = RefRecord(generation: pin.generation, manifest: pin.manifest, setAt: 0)
        let ref = RefResolver.Answer(record: record, seenAt: 0, isChecked: false, remembered: remembered)
        return try await reader.deadlines.run(deadline, "L3, asked for manifest \(pin.manifest),") {
            try await open(reference, ref, keys, counter).0
        }
    }

    /// What L3 does not say in its time may still be had from L2.
    private var deadline: Duration { reader.configuration.l3Deadline + reader.configuration.l2ReadDeadline }

    private func open(
        _ reference: ImageReference, _ ref: RefResolver.Answer, _ keys: TenantKeys, _ counter: ReadCounter
    ) async throws -> (CachedImage, ManifestPieces) {
        // Of use even if the ref names another image now: most of its layers will be the same.
        var known = ManifestPieces()
        if let list = ref.remembered?.pieces {
            known = try await reader.pieces(list, counter, insisting: !ref.isChecked)
        }
        let manifests = ManifestSource(
            reader: reader, generation: ref.record.generation, keys: keys, known: known, counter: counter)
        let (manifest, cut) = try await manifests.image(ref.record.manifest)
        var pieces = ManifestPieces()
        pieces.add(cut, of: ref.record.manifest)
        // Read when the image is used as a device; what the host knows of it must not get lost meanwhile.
        if let index = manifest.index { pieces.add(known.cuts[index], of: index) }
        let layers = try await manifests.layers(of: manifest, addingTo: &pieces)
        let image = CachedImage(
            reference: reference, seenAt: ref.seenAt, isChecked: ref.isChecked, manifest: manifest, layers: layers,
            origin: ImageOrigin(reader: reader, keys: keys, record: ref.record, pieces: pieces, counter: counter))
        return (image, pieces)
    }
}

/// The manifests of one image, out of the nearest tier, opened with the tenant's keys.
private struct ManifestSource: Sendable {
    let reader: TieredReader
    let generation: Generation
    let keys: TenantKeys
    /// How manifests of this image were cut when the host saw them last.
    let known: ManifestPieces
    let counter: ReadCounter
    /// Manifests of layers that are read at once: one can have 64 MiB.
    private static let atOnce = 4

    func image(_ id: ManifestID) async throws -> (ImageManifest, ManifestPieces.Cut?) {
        let (sealed, cut) = try await reader.manifest(id, generation, known, counter)
        return (try ImageManifest.open(sealed, expecting: id, keys: keys), cut)
    }

    func layers(
        of manifest: ImageManifest, addingTo pieces: inout ManifestPieces
    ) async throws -> [CachedLayer] {
        try await withThrowingTaskGroup(of: (Int, CachedLayer, ManifestPieces.Cut?).self) { group in
            var layers: [Int: CachedLayer] = [:]
            func takeNext() async throws -> Bool {
                guard let (index, layer, cut) = try await group.next() else { return false }
                layers[index] = layer
                pieces.add(cut, of: layer.id)
                return true
            }
            for (index, layer) in manifest.layers.enumerated() {
                if index >= Self.atOnce { _ = try await takeNext() }
                group.addTask {
                    let (opened, cut) = try await self.layer(layer.manifest, expecting: layer.diffID)
                    return (index, opened, cut)
                }
            }
            while try await takeNext() {}
            return manifest.layers.indices.compactMap { layers[$0] }
        }
    }

    private func layer(
        _ id: ManifestID, expecting diffID: SHA256Digest
    ) async throws -> (CachedLayer, ManifestPieces.Cut?) {
        let (sealed, cut) = try await reader.manifest(id, generation, known, counter)
        let manifest = try LayerManifest.open(sealed, expecting: id, keys: keys)
        guard manifest.diffID == diffID else {
            throw CacheError(
                .corrupt, "manifest \(id) is not of the layer that its image promises: push the image again")
        }
        let layer = try CachedLayer(
            manifest: manifest, id: id, reader: reader, counter: counter,
            readAhead: reader.configuration.readAhead)
        return (layer, cut)
    }
}
