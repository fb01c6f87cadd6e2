internal import CacheBase
internal import CacheCrypto
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

    /// What every version has. The rest of a newer one may be anything.
    private struct Version: Decodable {
        var version: Int
    }

    /// The first field name, at either level, that version 1 does not have: a newer program wrote it.
    private struct Names: Decodable {
        struct Key: CodingKey {
            let stringValue: String
            var intValue: Int? { nil }
            init(stringValue: String) { self.stringValue = stringValue }
            init?(intValue: Int) { nil }
        }

        var unknown: String?

        init(from decoder: any Decoder) throws {
            let fields = try decoder.container(keyedBy: Key.self)
            unknown = Self.unknown(in: fields, known: ["version", "deploymentKey", "tenants"])
            var tenants = try fields.nestedUnkeyedContainer(forKey: Key(stringValue: "tenants"))
            while !tenants.isAtEnd, unknown == nil {
                unknown = Self.unknown(in: try tenants.nestedContainer(keyedBy: Key.self), known: ["name", "key"])
            }
        }

        private static func unknown(in fields: KeyedDecodingContainer<Key>, known: Set<String>) -> String? {
            fields.allKeys.map(\.stringValue).sorted().first { !known.contains($0) }
        }
    }

    /// Parses the text of a keyring file. Errors never repeat what is in it, since that may be a key.
    init(parsing text: [UInt8], path: String) throws {
        let file: File
        do {
            let data = Data(text)
            let decoder = JSONDecoder()
            let version = try decoder.decode(Version.self, from: data).version
            guard version == Self.version else {
                throw CacheError(
                    .unsupported,
                    "keyring \(path) has version \(version); this build knows version \(Self.version): use a newer one")
            }
            file = try decoder.decode(File.self, from: data)
            unknownName = try decoder.decode(Names.self, from: data).unknown
        } catch let error as CacheError {
            throw error
        } catch {
            throw Self.malformed(path, "it is not the JSON of a keyring, or is cut off")
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
            version: Self.version, deploymentKey: deploymentKey?.master.hex,
            tenants: tenants.compactMap { name in
                masterKeys[name].map { File.Tenant(name: name.rawValue, key: $0.hex) }
            })
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
        return Array(try encoder.encode(file)) + [UInt8(ascii: "\n")]
    }

    private static func key(_ hex: String, what: String, _ path: String) throws -> Key256 {
        guard let bytes = SHA256Digest(hex: hex) else {
            throw malformed(path, "\(what) is not 64 hexadecimal digits in lower case")
        }
        return Key256(bytes)
    }

    private static func malformed(_ path: String, _ why: String) -> CacheError {
        CacheError(.invalidInput, "keyring \(path) cannot be used: \(why)")
    }
}
