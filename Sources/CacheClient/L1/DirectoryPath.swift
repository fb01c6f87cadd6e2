internal import Glibc

/// What can be told of a path that should be a directory's.
enum DirectoryPath {
    /// Whether there is something else, or can be nothing at all, whatever the disk does tomorrow. Blocks.
    static func canNeverBe(_ path: String) -> Bool {
        var status = stat()
        if stat(path, &status) == 0 { return status.st_mode & S_IFMT != S_IFDIR }
        return [ENOTDIR, ENAMETOOLONG].contains(errno)
    }
}
