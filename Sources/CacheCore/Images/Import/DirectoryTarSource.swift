internal import CacheBase
internal import CacheFiles
internal import CacheLayers

/// A directory tree as a tar: the same bytes for the same tree, its names in byte order.
///
/// It never follows a symbolic link and never leaves the tree. Sockets are left out; labels that belong to the host are
/// too. A file that changes while it is read is an error: its bytes would be a mixture of the old and the new contents.
final class DirectoryTarSource: ByteSource {
    /// Extended attributes that the host gives to files, and that make no sense on another one.
    private static let hostAttributes = ["security.selinux", "security.ima", "security.evm"]
    private static let hostAttributePrefix = "trusted.overlay."

    /// Directories that are open at once; those above them are opened again through `..` when it is their turn.
    private static let mostOpen = 64

    private struct Level {
        /// `nil` while it is closed, because enough of those below it are open.
        var directory: OpenFile?
        let identity: FileStatus.Identity
        /// From the root of the tree, with a slash at its end; empty for the root.
        let path: [UInt8]
        var names: ArraySlice<FileName>
    }

    private struct Contents {
        let file: OpenFile
        let before: FileStatus
        var remaining: Int
    }

    private let root: OpenFile
    private let limits: ImportLimits
    private let note: (String) -> Void
    private var levels: [Level] = []
    private var pending: ArraySlice<UInt8> = []
    private var contents: Contents?
    private var firstPaths: [FileStatus.Identity: FileName] = [:]
    private var phase = Phase.start

    private enum Phase {
        case start
        case entries
        case ended
    }

    init(_ root: OpenFile, limits: ImportLimits, note: @escaping (String) -> Void) {
        self.root = root
        self.limits = limits
        self.note = note
    }

    func read(into buffer: UnsafeMutableRawBufferPointer) throws -> Int {
        while true {
            if !pending.isEmpty {
                let count = min(pending.count, buffer.count)
                buffer.copyBytes(from: pending.prefix(count))
                pending = pending.dropFirst(count)
                return count
            }
            if contents != nil {
                let count = try readContents(into: buffer)
                if count > 0 { return count }
                continue
            }
            switch phase {
            case .start:
                try enter(root, path: [])
                phase = .entries
            case .entries: try namingTree { try nextEntry() }
            case .ended: return 0
            }
        }
    }

    /// Puts the name of the tree before an error that says which entry below its root is beyond a limit.
    private func namingTree(_ body: () throws -> Void) throws {
        do { try body() } catch let error as CacheError where [.invalidInput, .limitExceeded].contains(error.code) {
            throw CacheError(error.code, "\(root.name): \(error.message)", cause: error.cause)
        }
    }

    // MARK: Entries

    private func nextEntry() throws {
        guard let level = levels.last, let directory = level.directory else {
            pending = [UInt8](repeating: 0, count: 2 * TarHeaderEncoder.block)[...]
            phase = .ended
            return
        }
        guard let name = level.names.first else { return try leave(directory) }
        levels[levels.count - 1].names.removeFirst()
        let path = level.path + name.bytes
        guard path.count < limits.pathBytes else {
            throw Limit.pathBytes.exceeded(
                "\(directory.name)/\(name): the path has more than \(limits.pathBytes) bytes")
        }
        guard let status = try directory.statusOfEntry(name) else {
            throw CacheError(.io, "\(directory.name)/\(name) vanished while the directory was read")
        }
        switch status.kind {
        case .directory: try enter(directory.openEntry(name, .directory), path: path + [UInt8(ascii: "/")])
        case .regular: try begin(directory.openEntry(name, .nonBlocking), path: FileName(bytes: path))
        case .socket: note("\(directory.name)/\(name) is a socket and was left out")
        default: try emitSpecial(name, in: directory, path: FileName(bytes: path), status)
        }
    }

    private func enter(_ directory: OpenFile, path: [UInt8]) throws {
        guard levels.count < limits.directoryDepth else {
            throw Limit.directoryDepth.exceeded(
                "\(directory.name) is more than \(limits.directoryDepth) directories deep")
        }
        let name = FileName(bytes: path.isEmpty ? Array("./".utf8) : path)
        let status = try directory.status()
        var entry = Self.entry(name, .directory, status)
        entry.attributes = try attributes(of: directory)
        pending = entry.encoded()[...]
        let names = try directory.entryNames(atMost: limits.directoryEntries).sorted()
        levels.append(Level(directory: directory, identity: status.identity, path: path, names: names[...]))
        if levels.count > Self.mostOpen { levels[levels.count - 1 - Self.mostOpen].directory = nil }
    }

    /// Goes back to the parent of `directory`, which must still be where it was.
    private func leave(_ directory: OpenFile) throws {
        levels.removeLast()
        guard let parent = levels.last, parent.directory == nil else { return }
        let name = parent.path.isEmpty ? root.name : "\(root.name)/\(FileName(bytes: parent.path.dropLast()))"
        let descriptor = try reporting("open \(name)") { () throws(Errno) in
            try directory.descriptor.open("..", .directory)
        }
        let again = OpenFile(adopting: descriptor, name: name)
        guard try again.status().identity == parent.identity else { throw CacheError.changed(directory) }
        levels[levels.count - 1].directory = again
    }

    private func begin(_ file: OpenFile, path: FileName) throws {
        let status = try file.status()
        guard status.kind == .regular else { throw CacheError.changed(file) }
        if emitHardLink(path, status) { return }
        var entry = Self.entry(path, .file, status)
        entry.size = status.size
        entry.attributes = try attributes(of: file)
        pending = entry.encoded()[...]
        contents = Contents(file: file, before: status, remaining: entry.size)
    }

    /// Another name of what has an entry already, be that a file, a symbolic link, a pipe or a device.
    /// - Returns: `false` if it has none yet.
    private func emitHardLink(_ path: FileName, _ status: FileStatus) -> Bool {
        guard status.linkCount > 1 else { return false }
        let identity = status.identity
        guard let first = firstPaths[identity] else {
            firstPaths[identity] = path
            return false
        }
        var entry = Self.entry(path, .hardLink, status)
        entry.link = first
        pending = entry.encoded()[...]
        return true
    }

    private func emitSpecial(_ name: FileName, in directory: OpenFile, path: FileName, _ status: FileStatus) throws {
        let kind: TarHeaderEncoder.Kind
        switch status.kind {
        case .symbolicLink: kind = .symbolicLink
        case .characterDevice: kind = .characterDevice
        case .blockDevice: kind = .blockDevice
        case .fifo: kind = .fifo
        default: throw CacheError(.unsupported, "\(directory.name)/\(name) is of a type that a tar cannot hold")
        }
        if emitHardLink(path, status) { return }
        var entry = Self.entry(path, kind, status)
        entry.attributes = try attributes(directory.attributeNames(ofEntry: name), of: "\(directory.name)/\(name)") {
            try directory.attribute($0, ofEntry: name)
        }
        if kind == .symbolicLink { entry.link = try directory.linkTarget(of: name) }
        if kind == .characterDevice || kind == .blockDevice {
            entry.deviceMajor = status.deviceMajor
            entry.deviceMinor = status.deviceMinor
        }
        pending = entry.encoded()[...]
    }

    private static func entry(
        _ path: FileName, _ kind: TarHeaderEncoder.Kind, _ status: FileStatus
    ) -> TarHeaderEncoder {
        var entry = TarHeaderEncoder(path: path, kind: kind, mode: status.permissions)
        entry.userID = Int(status.userID)
        entry.groupID = Int(status.groupID)
        entry.seconds = status.modified.seconds
        entry.nanoseconds = status.modified.nanoseconds
        return entry
    }

    // MARK: Contents

    private func readContents(into buffer: UnsafeMutableRawBufferPointer) throws -> Int {
        guard var current = contents else { return 0 }
        if current.remaining == 0 {
            let after = try current.file.status()
            guard after.hasSameContents(as: current.before) else { throw CacheError.changed(current.file) }
            pending = [UInt8](repeating: 0, count: TarHeaderEncoder.padding(after: current.before.size))[...]
            contents = nil
            return 0
        }
        let wanted = min(buffer.count, current.remaining)
        let part = UnsafeMutableRawBufferPointer(rebasing: buffer[..<wanted])
        let count = try reporting("read \(current.file.name)") { () throws(Errno) in
            try current.file.descriptor.read(into: part)
        }
        guard count > 0 else { throw CacheError.changed(current.file) }
        current.remaining -= count
        contents = current
        return count
    }

    private static func isHostAttribute(_ name: String) -> Bool {
        hostAttributes.contains(name) || name.hasPrefix(hostAttributePrefix)
    }

    private func attributes(of file: OpenFile) throws -> [(name: FileName, value: [UInt8])] {
        try attributes(file.attributeNames(), of: file.name) { try file.attribute($0) }
    }

    /// The attributes among `names` that go into an image, with their values.
    private func attributes(
        _ names: [FileName], of owner: String, value: (FileName) throws -> [UInt8]?
    ) rethrows -> [(name: FileName, value: [UInt8])] {
        var attributes: [(name: FileName, value: [UInt8])] = []
        for name in names {
            let text = name.description
            if Self.isHostAttribute(text) { continue }
            if name.bytes.contains(UInt8(ascii: "=")) || FileName(text) != name {
                note("\(owner): the extended attribute '\(text)' was left out, as a tar cannot hold its name")
                continue
            }
            if let value = try value(name) { attributes.append((name, value)) }
        }
        return attributes
    }
}

extension LayerSource {
    /// A directory tree, as one layer; the same tree gives the same bytes.
    static func directory(
        _ path: String, limits: ImportLimits, note: @escaping @Sendable (String) -> Void
    ) throws -> LayerSource {
        let root = try OpenFile.open(path, .directory)
        return LayerSource(name: path, compressedSize: nil) {
            LimitedSource(
                DirectoryTarSource(root, limits: limits, note: note), name: path, limit: limits.expansionLimit)
        }
    }
}
