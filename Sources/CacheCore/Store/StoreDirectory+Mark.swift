internal import CacheFiles

/// A mark on the directory itself (an extended attribute). It outlives the files, so that a store whose files were
/// removed is told from a new one.
extension StoreDirectory {
    private static let attribute = "user.layercache.store"

    var isMarked: Bool { DirectoryPath.hasAttribute(Self.attribute, path) }

    /// Leaves the mark, if it is not there yet. A filesystem that keeps no such attributes, or a directory that may not
    /// be changed, has none: then an emptied store looks like a new one, and nothing else is lost.
    func mark() {
        do throws(Errno) { try DirectoryPath.addAttribute(Self.attribute, "1", to: path) } catch {}
    }
}
