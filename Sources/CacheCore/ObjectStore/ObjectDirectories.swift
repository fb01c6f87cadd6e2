internal import CacheBase
internal import CacheFiles
internal import NIOConcurrencyHelpers

/// The open directories of a ``FileObjectStore``, a bounded number of them, so that an object costs no walk from the
/// root.
///
/// Paths are as in object keys: `""` is the root, others neither begin nor end with `/`. They are confined to the root:
/// a directory is opened by its one name below its parent, and no symbolic link is ever followed.
final class ObjectDirectories: Sendable {
    let root: ObjectDirectory
    private let maximumOpen: Int
    private let open = NIOLockedValueBox(Open())

    private struct Open {
        var byPath: [Substring: ObjectDirectory] = [:]
        /// Those whose own name, and every name above it, is known to be durable.
        var durable: Set<Substring> = []
    }

    /// The 256 directories of chunks, and as many for all the rest; but no more than an eighth of the files that the
    /// process may have open.
    static var usualMaximum: Int { max(min(512, ResourceLimit.mostOpenFiles / 8), 4) }

    init(root: OpenFile, maximumOpen: Int = ObjectDirectories.usualMaximum) {
        self.root = ObjectDirectory(root)
        self.maximumOpen = maximumOpen
    }

    /// How many are open, the root not counted.
    var openCount: Int { open.withLockedValue { $0.byPath.count } }

    /// Runs a call that opens a file; if the process has too many open, closes all directories that are kept for later
    /// and runs it once more.
    func withRoom(_ call: () throws(Errno) -> Descriptor) throws(Errno) -> Descriptor {
        do throws(Errno) {
            return try call()
        } catch {
            guard error == .tooManyOpenFiles || error == .tooManyOpenFilesInSystem else { throw error }
        }
        forgetAll()
        return try call()
    }

    /// The directory of that path; `nil` if there is none, or an object where it would be.
    /// - Throws: if something else than a directory is in the way, or the system refuses.
    func find(_ path: Substring) throws -> ObjectDirectory? {
        if path.isEmpty { return root }
        let (parentPath, name) = Self.split(path)
        guard let parent = try find(parentPath) else { return nil }
        if let known = open.withLockedValue({ $0.byPath[path] }) {
            if known.isStill(name, in: parent) { return known }
            forget(path)
        }
        return try openChild(name, of: parent, path: path, orNilIfObject: true)
    }

    /// The directory of that path, which is made where it is missing. Its name survives a crash when this returns.
    func make(_ path: Substring) throws -> ObjectDirectory {
        if path.isEmpty { return root }
        let (parentPath, name) = Self.split(path)
        let parent = try make(parentPath)
        if let known = open.withLockedValue({ $0.durable.contains(path) ? $0.byPath[path] : nil }) {
            if known.isStill(name, in: parent) { return known }
            forget(path)
        }
        var found = try openChild(name, of: parent, path: path, orNilIfObject: false)
        // A store never removes its directories, but an operator may: a bounded number of tries.
        for _ in 0..<8 where found == nil {
            do throws(Errno) {
                try parent.descriptor.makeDirectory(name, mode: 0o777)
            } catch {
                if error != .alreadyExists { throw CacheError.system("make directory \(path)", error) }
            }
            found = try openChild(name, of: parent, path: path, orNilIfObject: false)
        }
        guard let found else { throw CacheError(.io, "directory \(path) is removed as often as it is made") }
        do throws(Errno) {
            try parent.sync()
        } catch {
            forget(parentPath)
            throw CacheError.system("fsync of directory \(parentPath.isEmpty ? "/" : parentPath)", error)
        }
        open.withLockedValue { open in
            if open.byPath[path] === found { open.durable.insert(path) }
        }
        return found
    }

    /// Closes the directory of that path and all below it, when those who use it are done.
    func forget(_ path: Substring) {
        let below = path + "/"
        open.withLockedValue { open in
            for known in open.byPath.keys where known == path || known.hasPrefix(below) {
                open.byPath[known] = nil
                open.durable.remove(known)
            }
        }
    }

    func forgetAll() {
        open.withLockedValue { $0 = Open() }
    }

    private func openChild(
        _ name: String, of parent: ObjectDirectory, path: Substring, orNilIfObject: Bool
    ) throws -> ObjectDirectory? {
        let descriptor: Descriptor
        do throws(Errno) {
            descriptor = try withRoom { () throws(Errno) in
                try parent.descriptor.open(name, .subdirectory)
            }
        } catch {
            switch error {
            case .noSuchFile: return nil
            case .notDirectory, .symbolicLink:
                switch parent.kind(of: name) {
                case .regular where orNilIfObject: return nil
                case .regular:
                    throw CacheError(.io, "\(path) is an object, and a file store cannot keep another below it")
                default: throw CacheError.foreign(path)
                }
            default: throw CacheError.system("open directory \(path)", error)
            }
        }
        let directory = ObjectDirectory(OpenFile(adopting: descriptor, name: String(path)))
        return open.withLockedValue { open in
            // Another thread may have been faster; all must share one, or they would not share its fsyncs.
            if let known = open.byPath[path] { return known }
            if open.byPath.count >= maximumOpen, let victim = open.byPath.keys.randomElement() {
                open.byPath[victim] = nil
                open.durable.remove(victim)
            }
            open.byPath[path] = directory
            return directory
        }
    }

    /// The path of the parent and the name in it.
    static func split(_ path: Substring) -> (parent: Substring, name: String) {
        guard let slash = path.utf8.lastIndex(of: UInt8(ascii: "/")) else { return ("", String(path)) }
        return (path[..<slash], String(path[path.utf8.index(after: slash)...]))
    }
}
