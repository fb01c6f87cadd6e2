internal import CacheBase

/// Small files that are replaced as a whole.
package enum DurableFile {
    /// What a file outlives.
    package enum Reach: Sendable {
        /// A crash of the machine: it is on the disk when it is written.
        case machine
        /// The process alone; costs no wait for the disk. After a crash of the machine it may be empty.
        case process
    }

    /// Writes it under a temporary name and gives it its own. Only its owner may read it.
    package static func write(_ bytes: [UInt8], to path: String, outliving reach: Reach = .machine) throws {
        let temporary = try TemporaryEntry.file(for: path, mode: 0o600)
        do {
            try bytes.withUnsafeBytes { bytes in
                try reporting("write \(path)") { () throws(Errno) in
                    try temporary.file.descriptor.writeAll(bytes)
                    if reach == .machine { try temporary.file.descriptor.sync() }
                    try temporary.rename(to: path)
                }
            }
        } catch {
            temporary.discard()
            throw error
        }
        if reach == .machine { try DirectoryPath.sync(DirectoryPath.parent(of: path)) }
    }
}
