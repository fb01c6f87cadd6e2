package import CacheCore
internal import NIOCore

extension CachedImage {
    /// The image's index as it was pushed, out of the nearest tier; `nil` if it was pushed without one.
    ///
    /// - Throws: `.corrupt` for one that does not fit the image; else as the tiers do.
    package func index() async throws -> ImageIndex? { try await indexAndCut()?.index }

    /// The same, and how its sealed form is cut if it is.
    func indexAndCut() async throws -> (index: ImageIndex, cut: ManifestPieces.Cut?)? {
        guard let id = manifest.index else { return nil }
        let (reader, record) = (origin.reader, origin.record)
        let deadline = reader.configuration.l3Deadline + reader.configuration.l2ReadDeadline
        let (sealed, cut) = try await reader.deadlines.run(deadline, "L3, asked for the index of \(reference),") {
            try await reader.manifest(id, record.generation, origin.pieces, origin.counter)
        }
        return (try ImageIndex.open(sealed, expecting: id, keys: origin.keys, regionSlots: regionSlots), cut)
    }

    /// For each layer the slots of its data region.
    var regionSlots: [Int] { layers.map(\.manifest.data.count) }
}
