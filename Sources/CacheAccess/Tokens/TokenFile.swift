internal import CacheBase
package import CacheCrypto
package import CacheFiles
internal import FoundationEssentials

/// The file in which a daemon finds its tokens (docs/FORMAT.md, "Token file"): their names, scopes and hashes.
package enum TokenFile {
    /// A token, without the token.
    package struct Entry: Sendable, Hashable {
        /// What people call it; 1 to 63 letters, digits and `. _ -`, of which a letter or digit comes first.
        package let name: String
        package let scope: AccessScope
        package let hash: SHA256Digest

        package init(name: String, scope: AccessScope, hash: SHA256Digest) {
            self.name = name
            self.scope = scope
            self.hash = hash
        }
    }

    package static let maximumEntries = 10_000
    /// Written by its owner alone: who can add to it has all that it guards. It holds no secret.
    package static let kind = SmallFile.Kind("token list", maximumBytes: 4 << 20, privacy: .ownerWrites)

    /// Reads it. Blocks.
    package static func read(_ path: String) throws -> [Entry] {
        guard let file = try SmallFile.read(path, kind) else { throw missing(path) }
        return try parse(file.bytes, path: path)
    }

    /// Makes a token and adds it to the file, which is made if there is none. Blocks.
    ///
    /// - Returns: the token, which is nowhere else.
    /// - Throws: `.conflict` if there is one of that name, which stays as it is.
    package static func add(_ name: String, _ scope: AccessScope, to path: String) throws -> AccessToken {
        try check(name)
        let token = AccessToken.make()
        try SmallFile.update(path, kind) { bytes in
            var entries = try bytes.map { try parse($0, path: path) } ?? []
            guard !entries.contains(where: { $0.name == name }) else {
                throw CacheError(
                    .conflict,
                    "token list \(path) already has a token '\(name)': remove it first, or choose another name")
            }
            guard entries.count < maximumEntries else {
                throw CacheError(
                    .limitExceeded, "token list \(path) has \(maximumEntries) tokens, which is all that it can hold")
            }
            entries.append(Entry(name: name, scope: scope, hash: token.hash))
            return try serialize(entries)
        }
        return token
    }

    /// Takes a token out of the file. Blocks.
    /// - Throws: `.missing` if there is none of that name.
    package static func remove(_ name: String, from path: String) throws {
        try SmallFile.update(path, kind) { bytes in
            guard let bytes else { throw missing(path) }
            var entries = try parse(bytes, path: path)
            let count = entries.count
            entries.removeAll { $0.name == name }
            guard entries.count < count else {
                throw CacheError(
                    .missing,
                    "token list \(path) has no token \(name.debugDescription.prefix(80)): "
                        + "'layercache token list' says which there are")
            }
            return try serialize(entries)
        }
    }

    private static func missing(_ path: String) -> CacheError {
        CacheError(
            .missing,
            "there is no token list \(path): make one with: layercache token add NAME --scope read --tokens \(path)")
    }

    private static func check(_ name: String) throws(CacheError) {
        guard isName(name) else {
            throw CacheError(
                .invalidInput,
                "\(name.debugDescription.prefix(80)) is no name of a token: 1 to 63 letters, digits and . _ -, a "
                    + "letter or digit first")
        }
    }

    static func isName(_ name: String) -> Bool {
        let bytes = name.utf8
        func isAlphanumeric(_ byte: UInt8) -> Bool {
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"):
                true
            default: false
            }
        }
        guard let first = bytes.first, isAlphanumeric(first), bytes.count <= 63 else { return false }
        return bytes.allSatisfy { isAlphanumeric($0) || "._-".utf8.contains($0) }
    }
}
