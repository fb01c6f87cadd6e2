internal import FoundationEssentials

extension Keyring {
    static let maximumBytes = 1 << 20
    static let version = 1

    private struct File: Codable {
        var version: Int
        var deploymentKey: String?
        var tenants: [Tenant]

        struct Tenant: Codable {
            var name: String
            var key: String
        }
    }

    /// Parses the text of a keyring file. Errors never repeat what is in it, since that may be a key.
    init(parsing text: [UInt8], path: String) throws {
        let file: File
        do {
            file = try JSONDecoder().decode(File.self, from: Data(text))
        } catch {
            throw Self.malformed(path, "it is not the JSON of a keyring, or is cut off")
        }
        guard file.version == Self.version else {
            throw CacheError(
                .unsupported, "keyring \(path) has version \(file.version); this build knows version \(Self.version)")
        }
        self.path = path
        masterKeys = [:]
        deploymentKey = try file.deploymentKey.map {
            DeploymentKey(master: try Self.key($0, what: "the deployment key", path))
        }
        for (index, entry) in file.tenants.enumerated() {
            guard let tenant = TenantName(entry.name) else {
                throw Self.malformed(path, "tenant number \(index + 1) has a name that no tenant can have")
            }
            let key = try Self.key(entry.key, what: "the key of tenant \(tenant)", path)
            guard masterKeys.updateValue(key, forKey: tenant) == nil else {
                throw Self.malformed(path, "it names tenant \(tenant) twice")
            }
        }
    }

    /// The text of the file, with a line for each tenant.
    func serialized() throws -> [UInt8] {
        let file = File(
            version: Self.version, deploymentKey: deploymentKey?.master.bytes.hex,
            tenants: tenants.compactMap { name in
                masterKeys[name].map { File.Tenant(name: name.rawValue, key: $0.bytes.hex) }
            })
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
        let text = Array(try encoder.encode(file)) + [UInt8(ascii: "\n")]
        guard text.count <= Self.maximumBytes else {
            throw CacheError(.limitExceeded, "keyring \(path) would be longer than \(Self.maximumBytes) bytes")
        }
        return text
    }

    private static func key(_ hex: String, what: String, _ path: String) throws -> SecretKey {
        guard let bytes = SHA256Digest(hex: hex) else {
            throw malformed(path, "\(what) is not 64 hexadecimal digits in lower case")
        }
        return SecretKey(bytes)
    }

    private static func malformed(_ path: String, _ why: String) -> CacheError {
        CacheError(.invalidInput, "keyring \(path) cannot be used: \(why)")
    }
}
