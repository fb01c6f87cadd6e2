package import CacheBase

/// A file that appears under its name only when it is complete: written beside it, then renamed.
///
/// A device or pipe (`/dev/stdout`) is written directly. There is no `fsync`: what was pulled can be pulled again.
package final class NewFile {
    package let file: OpenFile
    private let path: String
    /// `nil` for what is written directly, and once the file has its name.
    private var temporary: TemporaryEntry?

    package init(_ path: String) throws {
        self.path = path
        if let status = FileStatus.find(path), status.kind != .regular {
            guard status.kind != .directory else {
                throw CacheError(.invalidInput, "\(path) is a directory: name a file")
            }
            file = try OpenFile.openStream(path)
            return
        }
        let entry = try TemporaryEntry.file(for: path, mode: 0o666)
        temporary = entry
        file = entry.file
    }

    /// Gives the file its name.
    package func commit() throws(CacheError) {
        guard let temporary else { return }
        try reporting("rename to \(path)") { () throws(Errno) in try temporary.rename(to: path) }
        self.temporary = nil
    }

    deinit { temporary?.discard() }
}
