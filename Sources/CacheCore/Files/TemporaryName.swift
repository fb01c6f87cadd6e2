internal import CacheCrypto

/// Names under which something is filled before it gets its own.
package enum TemporaryName {
    package static let prefix = ".layercache-"

    /// What all temporary names for an entry called `name` begin with: the next pull that writes it finds by it what a
    /// killed one left, and nothing else.
    static func prefix(for name: some Collection<UInt8>) -> String {
        let digest = Array(name).withUnsafeBytes { SHA256Digest(hashing: $0) }
        return "\(prefix)\(digest.hex.prefix(16))-"
    }

    /// For what is made inside a directory that is a destination itself.
    package static let insidePrefix = prefix(for: ".".utf8)

    /// `prefix` and 64 random bits in at most 13 letters and digits.
    package static func unique(_ prefix: String) -> String {
        prefix + String(UInt64.random(in: 0 ... .max), radix: 36)
    }

    /// The directory of `path`, with a slash at its end (empty: the current one), and the name in it.
    static func split(_ path: String) -> (directory: Substring, name: Substring) {
        var trimmed = path[...]
        while trimmed.utf8.count > 1, trimmed.utf8.last == UInt8(ascii: "/") { trimmed = trimmed.dropLast() }
        let start = trimmed.utf8.lastIndex(of: UInt8(ascii: "/")).map { trimmed.utf8.index(after: $0) }
        return (trimmed[..<(start ?? trimmed.startIndex)], trimmed[(start ?? trimmed.startIndex)...])
    }

    /// A name in the directory of `path` that is not in use; short, however long that of `path` is.
    static func beside(_ path: String) -> String {
        let (directory, name) = split(path)
        return directory + unique(prefix(for: name.utf8))
    }
}
