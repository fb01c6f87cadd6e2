public import CacheCore

/// Names one image for good, as a ref does not: to open what is mounted again after a restart.
public struct ImagePin: Sendable, Hashable, LosslessStringConvertible {
    /// The image's manifest.
    public let manifest: ManifestID
    /// The generation that holds it in L3.
    public let generation: Generation

    /// The image of a manifest in a generation.
    public init(manifest: ManifestID, generation: Generation) {
        self.manifest = manifest
        self.generation = generation
    }

    /// Parses ``description``; `nil` for anything else.
    public init?(_ description: String) {
        let parts = description.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count == 2, let generation = Generation(name: parts[0]), let manifest = ManifestID(hex: parts[1])
        else { return nil }
        self.init(manifest: manifest, generation: generation)
    }

    /// The generation's six digits, a slash, the manifest's 64 hexadecimal digits.
    public var description: String { "\(generation)/\(manifest)" }
}
