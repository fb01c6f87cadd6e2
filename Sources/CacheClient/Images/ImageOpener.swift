internal import CacheCore
internal import NIOCore

/// Opens an image: its ref, its manifest, those of its layers.
struct ImageOpener: Sendable {
    let reader: TieredReader
    let refs: RememberedRefs?

    /// Manifests of layers that are read at once: one can have 64 MiB.
    private static let manifestsAtOnce = 4

    func open(_ reference: ImageReference, _ keys: TenantKeys, _ counter: ReadCounter) async throws -> CachedImage {
        let refReader = RefReader(
            l3: reader.l3.store, refs: refs, configuration: reader.configuration, deadlines: reader.deadlines)
        let ref = try await refReader.read(reference, keys)
        do {
            // What L3 does not say in its time may still be had from L2.
            let deadline = reader.configuration.l3Deadline + reader.configuration.l2Deadline
            return try await reader.deadlines.run(deadline, "L3, asked for the manifests of \(reference),") {
                let (image, pieces) = try await open(reference, ref, keys, counter)
                // Only what could be opened is worth remembering.
                if ref.isChecked { try await remember(reference, ref, pieces, keys, counter) }
                return image
            }
        } catch let error as CacheError where !ref.isChecked && [.io, .timedOut, .missing].contains(error.code) {
            throw CacheError(error.code, "L3 is away and this host has not all of \(reference)", cause: error)
        }
    }

    private func remember(
        _ reference: ImageReference, _ ref: RefReader.Answer, _ pieces: ManifestPieces, _ keys: TenantKeys,
        _ counter: ReadCounter
    ) async throws {
        guard let refs else { return }
        let list = try await reader.keep(pieces, counter)
        refs.remember(reference, RememberedRef(record: ref.record, pieces: list, seenAt: ref.seenAt), keys)
    }

    private func open(
        _ reference: ImageReference, _ ref: RefReader.Answer, _ keys: TenantKeys, _ counter: ReadCounter
    ) async throws -> (CachedImage, ManifestPieces) {
        let generation = ref.record.generation
        var known = ManifestPieces()
        // Of use even if the ref names another image now: most of its layers will be the same.
        if let list = ref.remembered?.pieces {
            known = try await reader.pieces(list, counter, insisting: !ref.isChecked)
        }
        var pieces = ManifestPieces()
        let own = try await reader.manifest(ref.record.manifest, generation, known, counter)
        pieces.add(own.cut, of: ref.record.manifest)
        let manifest = try ImageManifest.open(own.sealed, expecting: ref.record.manifest, keys: keys)
        let layers = try await layers(of: manifest, generation, keys, known, &pieces, counter)
        let image = CachedImage(
            reference: reference, seenAt: ref.seenAt, isChecked: ref.isChecked, id: ref.record.manifest,
            manifest: manifest, layers: layers, counter: counter)
        return (image, pieces)
    }

    private func layers(
        of manifest: ImageManifest, _ generation: Generation, _ keys: TenantKeys, _ known: ManifestPieces,
        _ pieces: inout ManifestPieces, _ counter: ReadCounter
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
                if index >= Self.manifestsAtOnce { _ = try await takeNext() }
                group.addTask { [reader] in
                    let (sealed, cut) = try await reader.manifest(layer.manifest, generation, known, counter)
                    let loaded = try LayerManifest.open(sealed, expecting: layer.manifest, keys: keys)
                    guard loaded.diffID == layer.diffID else {
                        throw CacheError(
                            .corrupt,
                            "manifest \(layer.manifest) is not of the layer that its image promises: push the image again"
                        )
                    }
                    let cached = try CachedLayer(
                        manifest: loaded, id: layer.manifest, reader: reader, counter: counter,
                        readAhead: reader.configuration.readAhead)
                    return (index, cached, cut)
                }
            }
            while try await takeNext() {}
            return manifest.layers.indices.compactMap { layers[$0] }
        }
    }
}
