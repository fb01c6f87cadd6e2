internal import Glibc

/// Whether there is room on a disk.
enum DiskSpace {
    /// Whether less than 1 MiB, or no inode, is left where `path` is, or would be made. Blocks.
    static func isExhausted(at path: String) -> Bool {
        var status = statvfs()
        var place = path
        while statvfs(place, &status) != 0 {
            guard errno == ENOENT, let slash = place.lastIndex(of: "/") else { return false }
            place = slash == place.startIndex ? "/" : String(place[..<slash])
        }
        // A filesystem that does not count inodes says that it has none at all.
        if status.f_files > 0, status.f_favail == 0 { return true }
        let blockBytes = UInt64(status.f_frsize)
        return UInt64(status.f_bavail) < (1 << 20) / max(blockBytes, 1)
    }
}
