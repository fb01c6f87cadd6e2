import Glibc

/// What the filesystem says of a name; links are not followed.
package struct FileStatus {
    package let isRegular: Bool
    /// Its length.
    package let byteCount: Int
    /// What it takes on disk. A file can be given its length, or its room, ahead of its bytes.
    package let storedByteCount: Int

    /// `nil` if there is nothing of that name, or it cannot be looked at.
    package init?(_ path: String) {
        var status = stat()
        guard lstat(path, &status) == 0 else { return nil }
        isRegular = status.st_mode & S_IFMT == S_IFREG
        byteCount = Int(status.st_size)
        storedByteCount = Int(status.st_blocks) * 512
    }
}
