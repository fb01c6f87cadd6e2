internal import CacheCore

extension LayerCache {
    /// What the device of an image consists of: as it was pushed, or made now and kept in L1 if it was pushed without.
    ///
    /// Reads one manifest, or the entry tables of all layers where there is none. No chunk of the metadata is read.
    /// - Throws: `.invalidInput` for a raw file; `.limitExceeded` for an image that no device is large enough for;
    ///   `.corrupt` for an index that does not fit the image; else as the tiers do.
    package func layout(of image: CachedImage) async throws -> DeviceLayout {
        guard let (index, cut) = try await image.indexAndCut() else {
            try await remember(image, image.origin.pieces)
            return try await localIndexes.index(of: image, refs).layout
        }
        var pieces = image.origin.pieces
        if let id = image.manifest.index { pieces.add(cut, of: id) }
        try await remember(image, pieces)
        return DeviceLayout(index)
    }

    /// Manifests that are cut are found by a list: it is remembered for who opens the image again with L3 away, by its
    /// pin or by its ref.
    private func remember(_ image: CachedImage, _ pieces: ManifestPieces) async throws {
        let origin = image.origin
        guard let refs, let list = try await reader.keep(pieces, origin.counter) else { return }
        let now = reader.configuration.now()
        refs.remember(
            RememberedRef.Name(ofImage: image.id, keys: origin.keys),
            RememberedRef(record: origin.record, pieces: list, seenAt: now), origin.keys)
        guard image.isReferenceChecked, pieces != origin.pieces else { return }
        refs.remember(
            image.reference,
            RememberedRef(record: origin.record, pieces: list, seenAt: image.referenceSeenAt), origin.keys)
    }
}
