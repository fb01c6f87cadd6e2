internal import CLinux

/// A mark on the directory itself (an extended attribute). It outlives the files, so that a store whose files were removed is told from a new one.
extension StoreDirectory {
    private static let attribute = "user.layercache.store"

    var isMarked: Bool { getxattr(path, Self.attribute, nil, 0) >= 0 }

    /// Leaves the mark, if it is not there yet. A filesystem that keeps no such attributes, or a directory that may not be changed, has none: then an
    /// emptied store looks like a new one, and nothing else is lost.
    func mark() {
        _ = setxattr(path, Self.attribute, "1", 1, Int32(XATTR_CREATE))
    }
}
