internal import CacheBase
internal import CacheCrypto
internal import CacheFiles
internal import NIOCore

extension Keyring {
    /// What ``add(_:toFile:deployment:)`` does about the deployment key of a file that has none.
    public enum Deployment: Sendable {
        /// Makes a new one: for the first host that pushes.
        case create
        /// Takes the one of another keyring file: for further hosts that push.
        case copy(from: String)
        /// Leaves it out: for workers.
        case none
    }

    /// Reads a keyring file. Blocks; at most 1 MiB.
    ///
    /// - Throws: `.missing` if there is none, `.key` if others than its owner may read it, `.invalidInput` or
    ///   `.unsupported` for its content.
    public init(contentsOf path: String) throws {
        guard let (keyring, _) = try Self.read(path) else {
            throw CacheError(
                .missing, "there is no keyring \(path): make one with: layercache keygen TENANT --keyring \(path)")
        }
        self = keyring
    }

    /// Makes a new master key for `tenant` and adds it to the keyring file, which is made if there is none. Blocks.
    ///
    /// The file is replaced in one step and durable on return. Two processes that add at the same time both succeed.
    /// - Throws: `.conflict` if the tenant has a key already, which is never overwritten, or the file's deployment key
    ///   is not as asked for.
    public static func add(_ tenant: TenantName, toFile path: String, deployment: Deployment = .create) throws {
        let copied: DeploymentKey? =
            switch deployment {
            case .copy(let source): try Keyring(contentsOf: source).requireDeploymentKey()
            case .create, .none: nil
            }
        let key = SecureRandom.key()
        try update(path) { keyring in
            guard keyring.masterKeys.updateValue(key, forKey: tenant) == nil else {
                throw CacheError(
                    .conflict, "keyring \(path) already has a key for tenant \(tenant), which was not changed")
            }
            switch deployment {
            case .none:
                guard keyring.deploymentKey == nil else {
                    throw CacheError(
                        .conflict,
                        "keyring \(path) has a deployment key, which no worker needs, and was not changed: use another "
                            + "file"
                    )
                }
            case .create:
                if keyring.deploymentKey == nil { keyring.deploymentKey = DeploymentKey(master: SecureRandom.key()) }
            case .copy(let source):
                guard let present = keyring.deploymentKey else {
                    keyring.deploymentKey = copied
                    break
                }
                guard present.id == copied?.id else {
                    throw CacheError(
                        .conflict, "keyring \(path) has another deployment key than \(source); neither was changed")
                }
            }
        }
    }

    /// Changes the file (or what would be in it) while no other process does.
    private static func update(_ given: String, _ change: (inout Keyring) throws -> Void) throws {
        // Through a symbolic link, so that the link is not what gets replaced.
        let path = try SymbolicLink.resolve(given)
        for _ in 0..<100 {
            guard let (found, file) = try read(path) else {
                var new = Keyring(deploymentKey: nil, masterKeys: [:], path: path)
                try change(&new)
                if try write(new, replacing: false) { return }
                continue
            }
            try FileLock.lock(file.descriptor, path: path)
            // The one that had the lock before may have put another file in its place.
            guard try status(of: file).identity == FileStatus.find(path)?.identity else { continue }
            if let name = found.unknownName {
                throw CacheError(
                    .unsupported,
                    "keyring \(path) has '\(name)', which this build does not know and would lose: use the one that "
                        + "wrote it"
                )
            }
            var keyring = found
            try change(&keyring)
            _ = try write(keyring, replacing: true)
            return
        }
        throw CacheError(.conflict, "keyring \(path) is replaced by others as often as it is read: try again")
    }

    /// The keyring and its open file; `nil` if there is none.
    private static func read(_ path: String) throws -> (Keyring, OpenFile)? {
        let descriptor: Descriptor
        do throws(Errno) {
            descriptor = try Descriptor.workingDirectory.open(path, .nonBlocking)
        } catch {
            guard error == .noSuchFile else { throw CacheError.system("open keyring \(path)", error) }
            // There is none, unless a link leads to where there is none.
            let target = try SymbolicLink.resolve(path)
            return target == path ? nil : try read(target)
        }
        let file = OpenFile(adopting: descriptor, name: path)
        let status = try status(of: file)
        guard status.kind == .regular else { throw CacheError(.invalidInput, "keyring \(path) is not a regular file") }
        guard status.permissions & 0o077 == 0 else {
            throw CacheError(.key, "keyring \(path) may be read by others than its owner: run: chmod 600 \(path)")
        }
        guard status.size <= maximumBytes else {
            throw CacheError(.limitExceeded, "keyring \(path) is longer than \(maximumBytes) bytes")
        }
        var text = [UInt8](repeating: 0, count: status.size)
        let count = try text.withUnsafeMutableBytes { space in
            try reporting("read keyring \(path)") { () throws(Errno) in
                try file.descriptor.readAll(into: space, at: 0)
            }
        }
        return (try Keyring(parsing: Array(text.prefix(count)), path: path), file)
    }

    private static func status(of file: OpenFile) throws(CacheError) -> FileStatus {
        try reporting("fstat") { () throws(Errno) in try file.descriptor.status() }
    }

    /// Writes the file; false if there must be none and there is one.
    private static func write(_ keyring: Keyring, replacing: Bool) throws -> Bool {
        let path = keyring.path
        let text = try keyring.serialized()
        let here = Descriptor.workingDirectory
        let temporary = TemporaryName.unique("\(path).") + ".tmp"
        let descriptor = try reporting("make keyring \(path)") { () throws(Errno) in
            try here.open(temporary, [.writeOnly, .createNew], mode: 0o600)
        }
        let file = OpenFile(adopting: descriptor, name: temporary)
        // After a rename there is nothing to remove.
        defer { here.removeIfPossible(temporary) }
        try text.withUnsafeBytes { bytes in
            try reporting("write keyring \(path)") { () throws(Errno) in try file.descriptor.writeAll(bytes) }
        }
        try reporting("fsync keyring \(path)") { () throws(Errno) in try file.descriptor.sync() }
        if replacing {
            try reporting("replace keyring \(path)") { () throws(Errno) in
                try here.rename(temporary, to: here, path)
            }
        } else {
            do throws(Errno) {
                try here.link(temporary, to: here, path)
            } catch {
                if error == .alreadyExists { return false }
                throw CacheError.system("make keyring \(path)", error)
            }
        }
        try DirectoryPath.sync(DirectoryPath.parent(of: path))
        return true
    }
}
