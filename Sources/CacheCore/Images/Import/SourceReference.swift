internal import CacheBase
public import CacheCrypto

/// What a push reads, written as `skopeo` writes it: `oci:DIR:TAG`, `tar:FILE`, ...
public enum SourceReference: Sendable, Equatable {
    /// An OCI image layout in a directory; `tag` and `digest`, of a manifest or an index, may be absent where the
    /// layout holds one image.
    case ociLayout(directory: String, tag: String?, digest: SHA256Digest? = nil)
    /// The same in a tar, plain or compressed.
    case ociArchive(file: String, tag: String?, digest: SHA256Digest? = nil)
    /// What `docker save` writes; `reference` and `digest`, of the configuration, may be absent where it holds one
    /// image.
    case dockerArchive(file: String, reference: String?, digest: SHA256Digest? = nil)
    /// One layer: a tar, plain or compressed with gzip or zstd.
    case tar(file: String)
    /// One layer: the entries of a ZIP.
    case zip(file: String)
    /// One layer: a directory tree.
    case directory(String)
    /// One raw file.
    case file(String)

    /// Takes the text of a command line apart; looks at no file.
    /// - Throws: ``CacheError`` `.invalidInput` that says how to write it.
    public static func parse(_ text: String) throws -> SourceReference {
        let (type, rest) = try ReferenceText.split(text, role: "source", forms: forms)
        switch type {
        case "oci":
            let (path, tag, digest) = try ReferenceText.pathNameAndDigest(rest, of: text)
            return .ociLayout(directory: path, tag: tag, digest: digest)
        case "oci-archive":
            let (path, tag, digest) = try ReferenceText.pathNameAndDigest(rest, of: text)
            return .ociArchive(file: path, tag: tag, digest: digest)
        case "docker-archive":
            let (path, name, digest) = try ReferenceText.pathNameAndDigest(rest, of: text)
            return .dockerArchive(file: path, reference: name, digest: digest)
        case "tar": return .tar(file: rest)
        case "zip": return .zip(file: rest)
        case "dir": return .directory(rest)
        case "file": return .file(rest)
        default: throw ReferenceText.unknown(type, role: "source", forms: forms)
        }
    }

    private static let forms =
        "oci:DIR[:TAG][@sha256:DIGEST], oci-archive:FILE[:TAG][@...], docker-archive:FILE[:REF][@...], tar:FILE, "
        + "zip:FILE, dir:DIR or file:FILE"
}

/// The shared syntax of ``SourceReference`` and ``DestinationReference``.
enum ReferenceText {
    static func split(_ text: String, role: String, forms: String) throws -> (type: Substring, rest: String) {
        guard !text.utf8.contains(0), let colon = text.firstIndex(of: ":") else {
            throw CacheError(.invalidInput, "\(role) '\(text)' has no type: use \(forms)")
        }
        let rest = String(text[text.index(after: colon)...])
        guard !rest.isEmpty else { throw CacheError(.invalidInput, "\(role) '\(text)' has no path: use \(forms)") }
        return (text[..<colon], rest)
    }

    /// A path, and after the first colon a tag or image name, which may hold colons and slashes itself.
    static func pathAndName(_ rest: String, of text: String) throws -> (path: String, name: String?) {
        guard let colon = rest.firstIndex(of: ":") else { return (rest, nil) }
        let path = String(rest[..<colon])
        let name = String(rest[rest.index(after: colon)...])
        guard !path.isEmpty else { throw CacheError(.invalidInput, "'\(text)' has no path before its last part") }
        guard !name.isEmpty else {
            throw CacheError(.invalidInput, "'\(text)' ends with a colon: name a tag or leave it out")
        }
        return (path, name)
    }

    /// The same, and behind both `@sha256:` and a digest; either or both may be absent.
    static func pathNameAndDigest(
        _ rest: String, of text: String
    ) throws -> (path: String, name: String?, digest: SHA256Digest?) {
        let mark = "@sha256:"
        guard rest.utf8.count > mark.utf8.count, let at = rest.lastIndex(of: "@"), rest[at...].hasPrefix(mark) else {
            if rest.contains("@sha512:") {
                throw CacheError(.invalidInput, "'\(text)' names a sha512 digest: only sha256 digests are known")
            }
            let (path, name) = try pathAndName(rest, of: text)
            return (path, name, nil)
        }
        guard let digest = SHA256Digest(hex: rest[at...].dropFirst(mark.count)) else {
            throw CacheError(.invalidInput, "'\(text)' does not end with a sha256 digest: 64 hexadecimal digits")
        }
        guard at != rest.startIndex else { throw CacheError(.invalidInput, "'\(text)' has no path before its digest") }
        let (path, name) = try pathAndName(String(rest[..<at]), of: text)
        return (path, name, digest)
    }

    static func unknown(_ type: Substring, role: String, forms: String) -> CacheError {
        CacheError(.invalidInput, "unknown \(role) type '\(type)': use \(forms)")
    }
}
