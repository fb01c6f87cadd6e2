/// Path resolution in a tree that is being built: how far the names of a path have led, and what is left of it.
///
/// One value serves all entries, so that its arrays are allocated once.
struct PathResolution {
    /// A name that is looked up.
    enum Step {
        /// In the path of the entry.
        case path(Range<Int>)
        /// In the target of a symbolic link.
        case target(Range<Int>)
    }

    /// Inodes of the directories that the path has led through; the root first.
    var found: [UInt32] = []
    /// The names after them, of which the first is not there or is no directory.
    var missing: [Step] = []
    /// Names that are still to be looked up, the next one last.
    var pending: [Step] = []
    /// The directory of the entry before, by the text of its path; `nil` where that text may lead elsewhere now.
    var lastParent: (path: [UInt8], directory: UInt32)?
    /// Names behind symbolic links that may still be looked up, in all paths together
    /// (``ImageTreeLimits/linkedNames``).
    var linkedNamesLeft = ImageTreeLimits.linkedNames

    /// Begins with the names of another path.
    mutating func begin(_ names: ArraySlice<Range<Int>>) {
        found.removeAll(keepingCapacity: true)
        found.append(ImageTreeBuilder.root)
        missing.removeAll(keepingCapacity: true)
        pending.removeAll(keepingCapacity: true)
        for name in names.reversed() { pending.append(.path(name)) }
    }

    /// The last directory that is there.
    var end: UInt32 { found.last ?? ImageTreeBuilder.root }
}
