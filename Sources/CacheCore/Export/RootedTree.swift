internal import Glibc

/// Finds directories of an image inside its root, as a process of the container would: `/` and `..` never lead out of it.
///
/// Images do have entries such as `lib/x` where a lower layer made `lib` a link to `usr/lib`, or to `/usr/lib`. So links in the middle of a
/// path are followed, but here, one name at a time and by descriptors, never by the kernel.
final class RootedTree {
    /// A directory of the tree, with the path that leads to it without any link.
    struct Place {
        let directory: OpenFile
        let path: [FileName]
    }

    /// As many as the kernel follows.
    private static let linkLimit = 40
    private static let directoryMode: mode_t = 0o755

    let root: OpenFile
    private let depthLimit: Int
    private var implied: [ino_t] = []
    // Entries of one directory mostly follow one another.
    private var last: (path: [FileName], place: Place)?

    init(_ root: OpenFile, depthLimit: Int) {
        self.root = root
        self.depthLimit = depthLimit
    }

    /// To be called when a name of the tree begins to mean something else.
    func forget() { last = nil }

    /// The inodes of directories that were made since the last call because something lies in them, without an entry of their own.
    func takeImplied() -> [ino_t] {
        defer { implied.removeAll() }
        return implied
    }

    /// The directory at `path`, through links; missing ones are made with `create`, otherwise they give `nil`.
    func place(_ path: [FileName], create: Bool) throws -> Place? {
        if let last, last.path == path { return last.place }
        var directories = [root]
        var names: [FileName] = []
        var pending = Array(path.reversed())
        var linksLeft = Self.linkLimit
        while let name = pending.popLast() {
            if name.bytes == Array("..".utf8) {
                if !names.isEmpty {
                    names.removeLast()
                    directories.removeLast()
                }
                continue
            }
            let parent = directories[names.count]
            switch try enter(name, of: parent, create: create) {
            case .directory(let directory):
                guard names.count < depthLimit else {
                    throw CacheError(.limitExceeded, "\(directory.name) is more than \(depthLimit) directories deep")
                }
                names.append(name)
                directories.append(directory)
            case .link(let target):
                linksLeft -= 1
                guard linksLeft >= 0 else {
                    throw CacheError(.invalidInput, "\(parent.name)/\(name): too many symbolic links")
                }
                if target.bytes.first == UInt8(ascii: "/") {
                    names.removeAll()
                    directories.removeLast(directories.count - 1)
                }
                pending.append(contentsOf: Self.components(target).reversed())
            case .nothing: return nil
            case .other:
                if !create { return nil }
                throw CacheError(
                    .invalidInput, "\(parent.name)/\(name) is not a directory, but the image has entries in it")
            }
        }
        let place = Place(directory: directories[names.count], path: names)
        last = (path, place)
        return place
    }

    /// The names of a path; `..` stays in, for who must refuse it.
    static func components(_ path: FileName) -> [FileName] {
        path.bytes.split(separator: UInt8(ascii: "/")).filter { !$0.elementsEqual(".".utf8) }.map {
            FileName(bytes: $0)
        }
    }

    private enum Step {
        case directory(OpenFile)
        case link(FileName)
        case nothing
        case other
    }

    private func enter(_ name: FileName, of parent: OpenFile, create: Bool) throws -> Step {
        if let status = try parent.statusOfEntry(name) {
            switch status.st_mode & S_IFMT {
            case S_IFDIR: break
            case S_IFLNK: return .link(try parent.linkTarget(of: name))
            default: return .other
            }
        } else {
            guard create else { return .nothing }
            try retryingInterrupts("make the directory \(parent.name)/\(name)") {
                name.withCString { mkdirat(parent.descriptor, $0, Self.directoryMode) }
            }
            let made = try parent.openEntry(name, O_RDONLY | O_DIRECTORY)
            implied.append(try made.status().st_ino)
            return .directory(made)
        }
        return .directory(try parent.openEntry(name, O_RDONLY | O_DIRECTORY))
    }
}
