internal import CacheBase
internal import CacheCrypto
internal import FoundationEssentials

/// The bytes of the file. A name in it that this build does not know is an error: it may be what limits a token.
extension TokenFile {
    private static let version = 1

    private struct Document: Codable {
        var version: Int
        var tokens: [Record]

        init(version: Int, tokens: [Record]) {
            self.version = version
            self.tokens = tokens
        }

        init(from decoder: any Decoder) throws {
            let fields = try decoder.container(keyedBy: AnyKey.self)
            version = try fields.decode(Int.self, forKey: AnyKey("version"))
            guard version == TokenFile.version else { throw Fault.version(version) }
            try fields.refuseOthers(than: ["version", "tokens"])
            tokens = []
            var list = try fields.nestedUnkeyedContainer(forKey: AnyKey("tokens"))
            while !list.isAtEnd {
                guard tokens.count < maximumEntries else { throw Fault.tooMany }
                tokens.append(try list.decode(Record.self))
            }
        }
    }

    private struct Record: Codable {
        var name: String
        var scope: String
        var sha256: String

        init(_ entry: Entry) {
            name = entry.name
            scope = entry.scope.name
            sha256 = entry.hash.hex
        }

        init(from decoder: any Decoder) throws {
            let fields = try decoder.container(keyedBy: AnyKey.self)
            try fields.refuseOthers(than: ["name", "scope", "sha256"])
            name = try fields.decode(String.self, forKey: AnyKey("name"))
            scope = try fields.decode(String.self, forKey: AnyKey("scope"))
            sha256 = try fields.decode(String.self, forKey: AnyKey("sha256"))
        }
    }

    fileprivate enum Fault: Error {
        case version(Int)
        case unknown(String)
        case tooMany
    }

    /// - Parameter path: for errors, which name the entry by its number and repeat nothing else of it.
    static func parse(_ bytes: [UInt8], path: String) throws -> [Entry] {
        let document: Document
        do {
            document = try JSONDocument.decode(Document.self, from: bytes, name: "token list \(path)", depth: 3)
        } catch Fault.version(let number) {
            throw CacheError(
                .unsupported,
                "token list \(path) has version \(number); this build knows version \(version): use a newer one")
        } catch Fault.unknown(let name) {
            throw CacheError(
                .unsupported,
                "token list \(path) has the name \(name.debugDescription.prefix(80)), which this build does not know: "
                    + "use the one that wrote it")
        } catch Fault.tooMany {
            throw CacheError(.limitExceeded, "token list \(path) has more than \(maximumEntries) tokens")
        }
        var names: Set<String> = []
        var hashes: Set<SHA256Digest> = []
        return try document.tokens.enumerated().map { index, record in
            func malformed(_ why: String) -> CacheError {
                CacheError(.invalidInput, "token list \(path) cannot be used: token number \(index + 1) \(why)")
            }
            guard isName(record.name) else { throw malformed("has a name that no token can have") }
            guard let scope = AccessScope(record.scope) else { throw malformed("has none of the scopes") }
            guard let hash = SHA256Digest(hex: record.sha256) else { throw malformed("has no SHA-256") }
            guard names.insert(record.name).inserted else { throw malformed("has the name of an earlier one") }
            guard hashes.insert(hash).inserted else { throw malformed("is an earlier one, too") }
            return Entry(name: record.name, scope: scope, hash: hash)
        }
    }

    static func serialize(_ entries: [Entry]) throws -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
        let document = Document(version: version, tokens: entries.map(Record.init))
        return Array(try encoder.encode(document)) + [UInt8(ascii: "\n")]
    }
}

/// Any name of a field.
private struct AnyKey: CodingKey {
    let stringValue: String
    var intValue: Int? { nil }

    init(_ name: String) { stringValue = name }
    init?(stringValue: String) { self.init(stringValue) }
    init?(intValue: Int) { nil }
}

extension KeyedDecodingContainer<AnyKey> {
    fileprivate func refuseOthers(than known: Set<String>) throws {
        guard let unknown = allKeys.first(where: { !known.contains($0.stringValue) }) else { return }
        throw TokenFile.Fault.unknown(unknown.stringValue)
    }
}
