internal import CacheBase

/// A small file that the user named, with all of its contents.
package struct SmallFile: Sendable {
    /// What a file must not let others do.
    package enum Privacy: Sendable {
        /// Nobody but its owner reads or writes it.
        case ownerAlone
        /// Its owner and its group do: secrets that a service manager or Kubernetes hands out are the group's.
        case ownerAndGroup
        /// All may read it, and its owner alone writes it.
        case ownerWrites
        case none

        fileprivate var forbidden: UInt32 {
            switch self {
            case .ownerAlone: 0o077
            case .ownerAndGroup: 0o007
            case .ownerWrites: 0o022
            case .none: 0
            }
        }

        fileprivate func complaint(_ name: String, _ path: String) -> String {
            switch self {
            case .ownerAlone: "\(name) may be read by others than its owner: run: chmod 600 \(path)"
            case .ownerAndGroup: "\(name) may be read by every user: run: chmod o= \(path)"
            case .ownerWrites: "\(name) may be written by others than its owner: run: chmod go-w \(path)"
            case .none: ""
            }
        }
    }

    /// What is asked of a file before it is read.
    package struct Kind: Sendable {
        /// What messages call it, for example `keyring`.
        package let name: String
        let maximumBytes: Int
        let privacy: Privacy

        package init(_ name: String, maximumBytes: Int, privacy: Privacy = .none) {
            self.name = name
            self.maximumBytes = maximumBytes
            self.privacy = privacy
        }
    }

    package let bytes: [UInt8]
    private let file: OpenFile

    /// Reads it; `nil` if there is none. Blocks, and waits for no other end of a pipe.
    ///
    /// - Throws: `.key` if it is open to others, `.limitExceeded`, `.invalidInput` for what is no regular file, `.io`.
    package static func read(_ path: String, _ kind: Kind) throws -> SmallFile? {
        let name = "\(kind.name) \(path)"
        let descriptor: Descriptor
        do throws(Errno) {
            descriptor = try Descriptor.workingDirectory.open(path, .nonBlocking)
        } catch {
            guard error == .noSuchFile else { throw CacheError.system("open \(name)", error) }
            // There is none, unless a link leads to where there is none.
            let target = try SymbolicLink.resolve(path)
            return target == path ? nil : try read(target, kind)
        }
        let file = OpenFile(adopting: descriptor, name: path)
        let status = try file.status()
        guard status.kind == .regular else { throw CacheError(.invalidInput, "\(name) is not a regular file") }
        guard status.permissions & kind.privacy.forbidden == 0 else {
            throw CacheError(.key, kind.privacy.complaint(name, path))
        }
        guard status.size <= kind.maximumBytes else {
            throw CacheError(.limitExceeded, "\(name) is longer than \(kind.maximumBytes) bytes")
        }
        var bytes = [UInt8](repeating: 0, count: status.size)
        let count = try bytes.withUnsafeMutableBytes { space in
            try reporting("read \(name)") { () throws(Errno) in try file.descriptor.readAll(into: space, at: 0) }
        }
        return SmallFile(bytes: Array(bytes.prefix(count)), file: file)
    }

    /// Replaces the contents of the file (or what would be in it) while no other process does, in one step and durably;
    /// it has mode 0600 then. Blocks. Two processes that do it at the same time both succeed.
    ///
    /// - Parameter change: makes the new contents of the old ones, `nil` where there is no file; may be called again.
    package static func update(
        _ given: String, _ kind: Kind, _ change: ([UInt8]?) throws -> [UInt8]
    ) throws {
        // Through a symbolic link, so that the link is not what gets replaced.
        let path = try SymbolicLink.resolve(given)
        for _ in 0..<100 {
            guard let found = try read(path, kind) else {
                if try write(try change(nil), to: path, kind, replacing: false) { return }
                continue
            }
            try FileLock.lock(found.file.descriptor, path: path)
            // The one that had the lock before may have put another file in its place.
            guard try found.file.status().identity == FileStatus.find(path)?.identity else { continue }
            _ = try write(try change(found.bytes), to: path, kind, replacing: true)
            return
        }
        throw CacheError(.conflict, "\(kind.name) \(path) is replaced by others as often as it is read: try again")
    }

    /// Writes the file; false if there must be none and there is one.
    private static func write(
        _ bytes: [UInt8], to path: String, _ kind: Kind, replacing: Bool
    ) throws -> Bool {
        let name = "\(kind.name) \(path)"
        guard bytes.count <= kind.maximumBytes else {
            throw CacheError(.limitExceeded, "\(name) would be longer than \(kind.maximumBytes) bytes")
        }
        let here = Descriptor.workingDirectory
        let temporary = TemporaryName.unique("\(path).") + ".tmp"
        let descriptor = try reporting("make \(name)") { () throws(Errno) in
            try here.open(temporary, [.writeOnly, .createNew], mode: 0o600)
        }
        let file = OpenFile(adopting: descriptor, name: temporary)
        // After a rename there is nothing to remove.
        defer { here.removeIfPossible(temporary) }
        try bytes.withUnsafeBytes { bytes in
            try reporting("write \(name)") { () throws(Errno) in try file.descriptor.writeAll(bytes) }
        }
        try reporting("fsync \(name)") { () throws(Errno) in try file.descriptor.sync() }
        if replacing {
            try reporting("replace \(name)") { () throws(Errno) in try here.rename(temporary, to: here, path) }
        } else {
            do throws(Errno) {
                try here.link(temporary, to: here, path)
            } catch {
                if error == .alreadyExists { return false }
                throw CacheError.system("make \(name)", error)
            }
        }
        try DirectoryPath.sync(DirectoryPath.parent(of: path))
        return true
    }
}
