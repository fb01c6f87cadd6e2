/// The path of an entry as runtimes take it: cleaned of `.`, `..` and slashes too many, by its text alone, and never
/// leading out of the root.
///
/// What a path means is decided here and nowhere else. `a/../b` is `b` whatever `a` is, `/x` and `../x` are `x`, and
/// `./`, `/`, `a/..` and the empty path are the root. (As Go's `path.Clean("/" + path)`, which the container runtimes
/// apply to every entry.)
struct EntryPath {
    /// The path as the entry has it.
    private(set) var bytes: [UInt8] = []
    /// Where its names are in `bytes`; none for the root.
    private(set) var names: [Range<Int>] = []

    private static let slash = UInt8(ascii: "/")
    private static let dot = UInt8(ascii: ".")

    /// Takes another path; costs no memory but the path's own.
    mutating func set(_ path: [UInt8]) {
        bytes = path
        names.removeAll(keepingCapacity: true)
        Self.forEachName(in: path[...]) { name in
            if Self.isUp(path[name]) {
                _ = names.popLast()
            } else {
                names.append(name)
            }
        }
    }

    /// Hands the names of a path to `body` from front to back: without `.`, but with `..`.
    static func forEachName(in path: ArraySlice<UInt8>, _ body: (Range<Int>) -> Void) {
        var start = path.startIndex
        while start < path.endIndex {
            let end = path[start...].firstIndex(of: slash) ?? path.endIndex
            if end > start, !(end == start + 1 && path[start] == dot) { body(start..<end) }
            start = end + 1
        }
    }

    static func isUp(_ name: ArraySlice<UInt8>) -> Bool {
        name.count == 2 && name.first == dot && name.last == dot
    }

    /// Whether this can be no name of an entry: empty, `.` or `..`.
    static func isNoName(_ name: ArraySlice<UInt8>) -> Bool {
        name.isEmpty || name.count == 1 && name.first == dot || isUp(name)
    }
}
