package import CacheClient
internal import CacheCore

/// One mount, as the table has it: what is needed to serve it again, and no key.
package struct MountRecord: Sendable, Codable, Hashable {
    /// As it was asked for.
    package let ref: String
    /// The manifest that it named then, in hexadecimal digits, and the number of its generation.
    package let manifest: String
    package let generation: UInt64
    /// Where it is mounted, as the kernel writes it.
    package let dir: String
    /// Of the device's file: its inode, and its bytes.
    package let number: UInt64
    package let bytes: UInt64
    /// Of the directory that has what is written to it; `nil` for a mount that cannot be written to.
    package let scratch: UInt64?
    package let prefetch: DeviceOptions.Prefetch
    /// The file with the tenant's key.
    package let keyring: String

    package init(
        ref: String, manifest: String, generation: UInt64, dir: String, number: UInt64, bytes: UInt64,
        scratch: UInt64?, prefetch: DeviceOptions.Prefetch, keyring: String
    ) {
        self.ref = ref
        self.manifest = manifest
        self.generation = generation
        self.dir = dir
        self.number = number
        self.bytes = bytes
        self.scratch = scratch
        self.prefetch = prefetch
        self.keyring = keyring
    }

    /// - Throws: `.invalidInput` for what this program never writes.
    func pin() throws(CacheError) -> ImagePin {
        guard let manifest = ManifestID(hex: manifest), let generation = Generation(generation) else {
            throw CacheError(.invalidInput, "the table of mounts has a record for \(dir) that names no manifest")
        }
        return ImagePin(manifest: manifest, generation: generation)
    }
}
