internal import CacheBase
internal import CacheCrypto
internal import CacheFiles
internal import Glibc
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
    /// - Throws: `.missing` if there is none, `.key` if others than its owner may read it, `.invalidInput` or `.unsupported` for its content.
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
    /// - Throws: `.conflict` if the tenant has a key already, which is never overwritten, or the file's deployment key is not as asked for.
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
                        "keyring \(path) has a deployment key, which no worker needs, and was not changed: use another file"
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

    /// Changes the file (or what would be in it) while nobody else does.
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
            try FileLock.lock(file.number, path: path)
            // Whoever had the lock before may have put another file in its place.
            guard try FileStatus(of: file).identity == FileStatus(path: path)?.identity else { continue }
            if let name = found.unknownName {
                throw CacheError(
                    .unsupported,
                    "keyring \(path) has '\(name)', which this build does not know and would lose: use the one that wrote it"
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
    private static func read(_ path: String) throws -> (Keyring, OwnedDescriptor)? {
        let number = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard number >= 0 else {
            let number = errno
            guard number == ENOENT else { throw CacheError.system("open keyring \(path)", number) }
            // There is none, unless a link leads to where there is none.
            let target = try SymbolicLink.resolve(path)
            return target == path ? nil : try read(target)
        }
        let file = OwnedDescriptor(number)
        let status = try FileStatus(of: file)
        guard status.kind == .regular else { throw CacheError(.invalidInput, "keyring \(path) is not a regular file") }
        guard status.permissions & 0o077 == 0 else {
            throw CacheError(.key, "keyring \(path) may be read by others than its owner: run: chmod 600 \(path)")
        }
        guard status.size <= maximumBytes else {
            throw CacheError(.limitExceeded, "keyring \(path) is longer than \(maximumBytes) bytes")
        }
        var text = [UInt8](repeating: 0, count: status.size)
        var done = 0
        while done < text.count {
            let count = try text.withUnsafeMutableBytes { space in
                try retryingInterrupts("read keyring \(path)") {
                    pread(number, space.baseAddress?.advanced(by: done), space.count - done, off_t(done))
                }
            }
            guard count > 0 else { break }
            done += count
        }
        return (try Keyring(parsing: Array(text.prefix(done)), path: path), file)
    }

    /// Writes the file; false if there must be none and there is one.
    private static func write(_ keyring: Keyring, replacing: Bool) throws -> Bool {
        let path = keyring.path
        let text = try keyring.serialized()
        let temporary = "\(path).\(UInt64.random(in: .min ... .max)).tmp"
        let number = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        guard number >= 0 else { throw CacheError.system("make keyring \(path)") }
        let file = OwnedDescriptor(number)
        // After a rename there is nothing to remove.
        defer { unlink(temporary) }
        try text.withUnsafeBytes { bytes in
            var rest = bytes
            while !rest.isEmpty {
                let count = try retryingInterrupts("write keyring \(path)") {
                    Glibc.write(number, rest.baseAddress, rest.count)
                }
                rest = UnsafeRawBufferPointer(rebasing: rest[count...])
            }
        }
        try retryingInterrupts("fsync keyring \(path)") { fsync(file.number) }
        if replacing {
            guard rename(temporary, path) == 0 else { throw CacheError.system("replace keyring \(path)") }
        } else if link(temporary, path) != 0 {
            if errno == EEXIST { return false }
            throw CacheError.system("make keyring \(path)")
        }
        try syncDirectory(of: path)
        return true
    }

    private static func syncDirectory(of path: String) throws {
        let slash = path.utf8.lastIndex(of: UInt8(ascii: "/"))
        let parent = slash.map { $0 == path.startIndex ? "/" : String(path[..<$0]) } ?? "."
        let number = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard number >= 0 else { throw CacheError.system("open directory \(parent)") }
        let directory = OwnedDescriptor(number)
        try retryingInterrupts("fsync of directory \(parent)") { fsync(directory.number) }
    }
}
