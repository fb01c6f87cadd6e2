internal import Glibc

/// Applies the entries of layers to a directory tree. Whatever an entry says, nothing outside of the tree is touched: every name is used
/// below a descriptor that ``RootedTree`` found, and never through a symbolic link.
struct TreeWriter {
    /// What the rights at hand did not allow.
    struct Omissions {
        var devices = 0
        var attributes = 0
        var accessLists = 0
        var skippedOwners = 0

        /// One line for each kind.
        var notes: [String] {
            [
                (devices, "device nodes were left out: making them needs privilege"),
                (attributes, "extended attributes were left out: the filesystem or our rights do not allow them"),
                (accessLists, "access control lists were left out"),
                (skippedOwners, "entries belong to the user who pulled: giving files away needs privilege"),
            ].filter { $0.0 > 0 }.map { "\($0.0) \($0.1)" }
        }
    }

    /// Set when all is written: until then a directory must be open to us, and each new entry in it changes its time.
    ///
    /// Remembered by inode, without its path: an image may have a million directories.
    struct FinalState {
        let mode: mode_t
        let modified: timespec
    }

    private static let whiteout = Array(".wh.".utf8)
    private static let opaque = Array(".wh..wh..opq".utf8)
    private static let reserved = Array(".wh..wh.".utf8)

    let tree: RootedTree
    private let limits: ImportLimits
    private let hasWhiteouts: Bool
    private(set) var directories: [ino_t: FinalState] = [:]
    /// What entries for the root directory itself have set.
    private(set) var rootAttributes: Set<FileName> = []
    private(set) var omissions = Omissions()

    /// - Parameter whiteouts: names that begin with `.wh.` remove entries of lower layers, as in images; otherwise they are files like others.
    init(_ root: OpenFile, limits: ImportLimits, whiteouts: Bool) {
        tree = RootedTree(root, depthLimit: limits.directoryDepth)
        self.limits = limits
        hasWhiteouts = whiteouts
    }

    /// Applies a whole layer over what is there.
    mutating func apply(_ source: any ByteSource, name: String, isLowest: Bool) throws {
        let reader = try ArchiveReader(.tar(source), name: name)
        var contents = LayerContents(isLowest: isLowest)
        while let header = try reader.next() {
            let entry = try TreeEntry(reader, header: header, limits: limits)
            try apply(entry, from: reader, contents: &contents)
        }
    }

    private mutating func apply(_ entry: TreeEntry, from reader: ArchiveReader, contents: inout LayerContents) throws {
        guard let name = entry.components.last else {
            guard entry.type == S_IFDIR else {
                throw CacheError(.invalidInput, "\(reader.name): '\(entry.path)' would replace the root directory")
            }
            rootAttributes.formUnion(entry.attributes.map(\.name))
            return try describe(tree.root, as: entry)
        }
        let parentPath = Array(entry.components.dropLast())
        if hasWhiteouts, name.bytes.starts(with: Self.whiteout) {
            return try remove(name, parentPath, entry, contents: contents)
        }
        guard let parent = try tree.place(parentPath, create: true) else { return }
        for inode in tree.takeImplied() { directories[inode] = nil }
        if let hardLink = entry.hardLink {
            guard try link(entry, to: hardLink, as: name, in: parent, layer: reader.name) else { return }
        } else {
            try makeRoom(for: entry, name, in: parent.directory)
            try make(entry, name, in: parent, from: reader)
        }
        try contents.insert(name, in: parent.directory)
    }

    private func remove(_ name: FileName, _ parentPath: [FileName], _ entry: TreeEntry, contents: LayerContents) throws
    {
        // What else begins so is the bookkeeping of a union filesystem of old.
        guard name.bytes == Self.opaque || !name.bytes.starts(with: Self.reserved) else { return }
        guard let parent = try tree.place(parentPath, create: false) else { return }
        tree.forget()
        if name.bytes == Self.opaque { return try contents.removeLowerContents(of: parent.directory) }
        let target = FileName(bytes: name.bytes.dropFirst(Self.whiteout.count))
        guard ![[], Array(".".utf8), Array("..".utf8)].contains(target.bytes) else {
            throw CacheError(.invalidInput, "'\(entry.path)' removes no entry of its directory")
        }
        try contents.removeLower(target, in: parent.directory)
    }

    /// Removes what has the name of `entry`, unless both are directories.
    private func makeRoom(for entry: TreeEntry, _ name: FileName, in directory: OpenFile) throws {
        guard let status = try directory.statusOfEntry(name) else { return }
        if entry.type == S_IFDIR, status.st_mode & S_IFMT == S_IFDIR { return }
        try directory.removeEntry(name)
        tree.forget()
    }

    // MARK: Making entries

    private mutating func make(
        _ entry: TreeEntry, _ name: FileName, in parent: RootedTree.Place, from reader: ArchiveReader
    ) throws {
        let directory = parent.directory
        let what = "make \(directory.name)/\(name)"
        switch entry.type {
        case S_IFREG:
            try makeFile(entry, name, in: directory, from: reader)
        case S_IFDIR:
            if name.withCString({ mkdirat(directory.descriptor, $0, 0o700) }) != 0, errno != EEXIST {
                throw CacheError.system(what)
            }
            try describe(directory.openEntry(name, O_RDONLY | O_DIRECTORY), as: entry)
        case S_IFLNK:
            guard let target = entry.symbolicLink, !target.bytes.isEmpty else {
                throw CacheError(.invalidInput, "\(reader.name): the symbolic link '\(entry.path)' has no target")
            }
            try retryingInterrupts(what) {
                target.withCString { target in name.withCString { symlinkat(target, directory.descriptor, $0) } }
            }
            tree.forget()
            try describe(name, in: directory, as: entry)
        case S_IFIFO, S_IFCHR, S_IFBLK:
            let device = entry.type == S_IFIFO ? 0 : entry.device
            if name.withCString({ mknodat(directory.descriptor, $0, entry.type | 0o600, device) }) != 0 {
                guard errno == EPERM, entry.type != S_IFIFO else { throw CacheError.system(what) }
                omissions.devices += 1
                return
            }
            try describe(name, in: directory, as: entry)
        default:
            throw CacheError(.unsupported, "\(reader.name): '\(entry.path)' is of a type that cannot be extracted")
        }
    }

    private mutating func makeFile(
        _ entry: TreeEntry, _ name: FileName, in directory: OpenFile, from reader: ArchiveReader
    ) throws {
        let path = "\(directory.name)/\(name)"
        let descriptor = try retryingInterrupts("make \(path)") {
            name.withCString {
                openat(directory.descriptor, $0, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0o600)
            }
        }
        let file = OpenFile(adopting: descriptor, name: path)
        let output = SparseOutput(file)
        var end = 0
        while let (bytes, offset) = try reader.nextBlock() {
            guard !bytes.isEmpty else { continue }
            guard offset >= end, offset <= entry.size, bytes.count <= entry.size - offset else {
                throw CacheError(.invalidInput, "\(reader.name): the contents of '\(entry.path)' lie outside of it")
            }
            try output.write(bytes, at: offset)
            end = offset + bytes.count
        }
        if output.end < entry.size { try retryingInterrupts("write \(path)") { ftruncate(descriptor, entry.size) } }
        let mode = try setOwnerAndAttributes(file, entry)
        try retryingInterrupts("set the mode of \(path)") { fchmod(descriptor, mode) }
        try setTime(of: file, entry.modified)
    }

    /// - Returns: whether there is a new name; `false` where it names itself.
    private mutating func link(
        _ entry: TreeEntry, to target: FileName, as name: FileName, in parent: RootedTree.Place, layer: String
    ) throws -> Bool {
        let components = try TreeEntry.checked(target, of: layer, limits: limits)
        let missing = CacheError(
            .invalidInput, "\(layer): '\(entry.path)' is a hard link to '\(target)', which is not there")
        guard let targetName = components.last,
            let place = try tree.place(Array(components.dropLast()), create: false),
            let status = try place.directory.statusOfEntry(targetName)
        else { throw missing }
        guard status.st_mode & S_IFMT != S_IFDIR else {
            throw CacheError(.invalidInput, "\(layer): '\(entry.path)' is a hard link to the directory '\(target)'")
        }
        if place.path == parent.path, targetName == name { return false }
        try makeRoom(for: entry, name, in: parent.directory)
        // Without AT_SYMLINK_FOLLOW: a link to a symbolic link is another name of that link.
        let result = targetName.withCString { old in
            name.withCString { linkat(place.directory.descriptor, old, parent.directory.descriptor, $0, 0) }
        }
        guard result == 0 else {
            // The target went away to make room: it lay in the directory that this name had.
            if errno == ENOENT { throw missing }
            throw CacheError.system("link \(parent.directory.name)/\(name)")
        }
        return true
    }

    // MARK: What entries are like

    private mutating func describe(_ directory: OpenFile, as entry: TreeEntry) throws {
        let mode = try setOwnerAndAttributes(directory, entry)
        directories[try directory.status().st_ino] = FinalState(mode: mode, modified: entry.modified)
    }

    /// For what cannot be opened: links, devices, pipes.
    private mutating func describe(_ name: FileName, in directory: OpenFile, as entry: TreeEntry) throws {
        let path = "\(directory.name)/\(name)"
        let mode = try setOwner(path, entry) {
            name.withCString { fchownat(directory.descriptor, $0, entry.userID, entry.groupID, AT_SYMLINK_NOFOLLOW) }
        }
        if entry.type != S_IFLNK {
            try retryingInterrupts("set the mode of \(path)") {
                name.withCString { fchmodat(directory.descriptor, $0, mode, 0) }
            }
        }
        omissions.attributes += entry.attributes.count
        let times = [entry.modified, entry.modified]
        try retryingInterrupts("set the time of \(path)") {
            name.withCString { utimensat(directory.descriptor, $0, times, AT_SYMLINK_NOFOLLOW) }
        }
    }

    /// The owner first: changing it takes setuid bits and capabilities away. Returns the mode to set.
    private mutating func setOwnerAndAttributes(_ file: OpenFile, _ entry: TreeEntry) throws -> mode_t {
        let mode = try setOwner(file.name, entry) { fchown(file.descriptor, entry.userID, entry.groupID) }
        for (name, value) in entry.attributes {
            let isSet = try value.withUnsafeBytes { try file.setAttribute(name, $0) }
            if !isSet { omissions.attributes += 1 }
        }
        if entry.hasAccessList { omissions.accessLists += 1 }
        return mode
    }

    /// Gives an entry to its owner, as far as our rights go (in a user namespace, as far as its numbers are mapped).
    /// - Returns: the mode to set. Without its owner, a setuid program would run with our rights instead of its own.
    private mutating func setOwner(_ path: String, _ entry: TreeEntry, _ change: () -> Int32) throws -> mode_t {
        if change() == 0 { return entry.mode }
        guard errno == EPERM || errno == EINVAL else { throw CacheError.system("give away \(path)") }
        omissions.skippedOwners += 1
        return entry.mode & 0o1777
    }

    func setTime(of file: OpenFile, _ time: timespec) throws {
        try retryingInterrupts("set the time of \(file.name)") { futimens(file.descriptor, [time, time]) }
    }
}
