internal import CacheBase
internal import CacheCrypto
internal import CacheFiles

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
        guard let file = try SmallFile.read(path, Self.kind) else {
            throw CacheError(
                .missing, "there is no keyring \(path): make one with: layercache keygen TENANT --keyring \(path)")
        }
        self = try Keyring(parsing: file.bytes, path: path)
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
    private static func update(_ path: String, _ change: (inout Keyring) throws -> Void) throws {
        try SmallFile.update(path, kind) { text in
            var keyring =
                try text.map { try Keyring(parsing: $0, path: path) }
                ?? Keyring(deploymentKey: nil, masterKeys: [:], path: path)
            if let name = keyring.unknownName {
                throw CacheError(
                    .unsupported,
                    "keyring \(path) has '\(name)', which this build does not know and would lose: use the one that "
                        + "wrote it"
                )
            }
            try change(&keyring)
            return try keyring.serialized()
        }
    }

    private static let kind = SmallFile.Kind("keyring", maximumBytes: maximumBytes, privacy: .ownerAlone)
}
