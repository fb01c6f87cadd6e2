internal import CacheBase

/// Small files that are replaced as a whole and survive a crash.
package enum DurableFile {
    /// Writes it under a temporary name, brings it to the disk, and gives it its own; on the disk when this returns.
    /// Only its owner may read it.
    package static func write(_ bytes: [UInt8], to path: String) throws {
        let temporary = try TemporaryEntry.file(for: path, mode: 0o600)
        do {
            try bytes.withUnsafeBytes { bytes in
                try reporting("write \(path)") { () throws(Errno) in
                    try temporary.file.descriptor.writeAll(bytes)
                    try temporary.file.descriptor.sync()
                    try temporary.rename(to: path)
                }
            }
        } catch {
            temporary.discard()
            throw error
        }
        try DirectoryPath.sync(DirectoryPath.parent(of: path))
    }
}
