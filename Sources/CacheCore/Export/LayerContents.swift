internal import Glibc

/// What the layer that is being applied has put into the tree, so that its whiteouts remove only what lies below it.
///
/// (OCI image specification, "Whiteouts": they apply to lower layers, wherever in the tar they stand.)
struct LayerContents {
    private struct Entry: Hashable {
        let directory: ino_t
        let name: FileName
    }

    /// Below the lowest layer there is nothing to remove, so nothing needs to be remembered.
    let isLowest: Bool
    private var entries: Set<Entry> = []

    init(isLowest: Bool) { self.isLowest = isLowest }

    mutating func insert(_ name: FileName, in directory: OpenFile) throws {
        if isLowest { return }
        entries.insert(Entry(directory: try directory.status().st_ino, name: name))
    }

    /// Removes from `directory` all that lower layers have put there.
    func removeLowerContents(of directory: OpenFile) throws {
        if isLowest { return }
        for name in try directory.entryNames(atMost: Int.max) { try removeLower(name, in: directory) }
    }

    /// Removes `name` as far as lower layers have made it.
    /// - Returns: whether it is gone.
    @discardableResult
    func removeLower(_ name: FileName, in directory: OpenFile) throws -> Bool {
        guard !isLowest, let status = try directory.statusOfEntry(name) else { return true }
        let isOurs = entries.contains(Entry(directory: try directory.status().st_ino, name: name))
        guard status.st_mode & S_IFMT == S_IFDIR else {
            if !isOurs { try directory.removeEntry(name) }
            return !isOurs
        }
        let child = try directory.openEntry(name, O_RDONLY | O_DIRECTORY)
        var isEmpty = true
        for grandchild in try child.entryNames(atMost: Int.max) where try !removeLower(grandchild, in: child) {
            isEmpty = false
        }
        if isOurs || !isEmpty { return false }
        try directory.removeEntry(name)
        return true
    }
}
