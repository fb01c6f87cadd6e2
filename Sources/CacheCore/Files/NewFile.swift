internal import CacheBase
internal import Glibc

/// A file that appears under its name only when it is complete: written beside it, then renamed.
///
/// A device or pipe (`/dev/stdout`) is written directly. There is no `fsync`: what was pulled can be pulled again.
package final class NewFile {
    package let file: OpenFile
    private let path: String
    private var temporary: String?

    package init(_ path: String) throws {
        self.path = path
        var status = stat()
        if stat(path, &status) == 0, status.st_mode & S_IFMT != S_IFREG {
            guard status.st_mode & S_IFMT != S_IFDIR else {
                throw CacheError(.invalidInput, "\(path) is a directory: name a file")
            }
            file = try OpenFile.openStream(path)
            return
        }
        let entry = try TemporaryEntry.file(for: path, mode: 0o666)
        temporary = entry.name
        file = entry.file
    }

    /// Gives the file its name.
    package func commit() throws {
        guard let temporary else { return }
        try retryingInterrupts("rename to \(path)") { rename(temporary, path) }
        self.temporary = nil
    }

    deinit {
        if let temporary { unlink(temporary) }
    }
}
