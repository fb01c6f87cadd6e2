internal import CacheFiles

/// Makes one page of a listing of a directory tree, in the byte order of whole keys.
///
/// A directory `a` stands for keys that begin with `a/`, so it is sorted as `a/`: after `a-b` and `a.b`, before `a0`.
/// Directories that hold no key of the page are not opened. Memory: the names of the directories on the way to the
/// page's last key.
struct ObjectListing {
    let directories: ObjectDirectories
    let prefix: String
    let delimiter: Bool
    let after: String?
    let limit: Int
    private static let mostForeign = 1000
    private var page = ObjectPage(objects: [], prefixes: [], next: nil)
    private var last: String?

    init(directories: ObjectDirectories, prefix: String, delimiter: Bool, after: String?, limit: Int) {
        self.directories = directories
        self.prefix = prefix
        self.delimiter = delimiter
        self.after = after
        self.limit = min(max(limit, 1), 1000)
    }

    mutating func read() throws -> ObjectPage {
        let start = prefix.utf8.lastIndex(of: UInt8(ascii: "/")).map { prefix[..<$0] } ?? ""
        // A prefix that no key can have: the system might understand it in its own way (`..`).
        guard start.isEmpty || ObjectKey(String(start)) != nil, let directory = try directories.find(start) else {
            return page
        }
        _ = try visit(directory, path: start.isEmpty ? "" : start + "/", folding: delimiter)
        // What comes after the last name of a page that is full belongs to the next.
        if let end = page.next { page.foreign.removeAll { $0 > end } }
        return page
    }

    /// Adds what the directory holds; false as soon as the page is full and there is more.
    private mutating func visit(_ directory: ObjectDirectory, path: Substring, folding: Bool) throws -> Bool {
        for entry in try Self.sortedEntries(of: directory, path: path) {
            let name = path + entry.name
            switch entry.kind {
            case .regular:
                guard name.hasPrefix(prefix), after.map({ $0 < name }) ?? true, let key = ObjectKey(String(name)),
                    let status = directory.status(of: entry.name)
                else { continue }
                guard takePlace(key.rawValue) else { return false }
                page.objects.append((key, status.size))
            case .directory:
                let below = name + "/"
                guard below.hasPrefix(prefix) || prefix.hasPrefix(below), mayHoldMore(below) else { continue }
                if folding {
                    guard after.map({ $0 < below }) ?? true, mayHoldObject(name, path: below) else { continue }
                    guard takePlace(String(below)) else { return false }
                    page.prefixes.append(String(below))
                } else if let child = try directories.find(name), try !visit(child, path: below, folding: false) {
                    return false
                }
            default: addForeign(String(name))
            }
        }
        return true
    }

    /// Whether keys that begin with `below` may come after ``after``.
    private func mayHoldMore(_ below: Substring) -> Bool {
        after.map { $0 < below || $0.hasPrefix(below) } ?? true
    }

    private mutating func addForeign(_ name: String) {
        guard name.hasPrefix(prefix), after.map({ $0 < name }) ?? true, page.foreign.count < Self.mostForeign else {
            return
        }
        page.foreign.append(name)
    }

    /// Room for one more name; if there is none, the page ends with a place to go on from.
    private mutating func takePlace(_ name: String) -> Bool {
        guard page.objects.count + page.prefixes.count < limit else {
            page.next = last
            return false
        }
        last = name
        return true
    }

    /// Entries whose names can be part of a key, sorted as the keys are. (Strings of ASCII compare as their bytes.)
    private static func sortedEntries(
        of directory: ObjectDirectory, path: Substring
    ) throws -> [(name: String, kind: FileStatus.Kind)] {
        try directory.entries()
            .filter { $0.name.utf8.count + path.utf8.count <= ObjectKey.maximumBytes && ObjectKey($0.name) != nil }
            .map { (order: $0.kind == .directory ? $0.name + "/" : $0.name, entry: $0) }
            .sorted { $0.order < $1.order }
            .map(\.entry)
    }

    /// Whether there is any object below the directory; one that has lost its last object is no prefix any more.
    ///
    /// One that cannot be opened or looked into may hold some, and so may one with what is no object: listing it tells.
    private func mayHoldObject(_ name: Substring, path: Substring) -> Bool {
        do {
            guard let directory = try directories.find(name) else { return false }
            let entries = try Self.sortedEntries(of: directory, path: path)
            return entries.contains { $0.kind != .directory }
                || entries.contains { entry in
                    let name = path + entry.name
                    return mayHoldObject(name, path: name + "/")
                }
        } catch {
            return true
        }
    }
}
