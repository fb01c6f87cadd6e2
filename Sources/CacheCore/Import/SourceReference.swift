/// What a push reads, written as `skopeo` writes it: `oci:DIR:TAG`, `tar:FILE`, ...
public enum SourceReference: Sendable, Equatable {
    /// An OCI image layout in a directory; `tag` may be absent where the layout holds one image.
    case ociLayout(directory: String, tag: String?)
    /// The same in a tar, plain or compressed.
    case ociArchive(file: String, tag: String?)
    /// What `docker save` writes; `reference` may be absent where it holds one image.
    case dockerArchive(file: String, reference: String?)
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
            let (path, tag) = try ReferenceText.pathAndName(rest, of: text)
            return .ociLayout(directory: path, tag: tag)
        case "oci-archive":
            let (path, tag) = try ReferenceText.pathAndName(rest, of: text)
            return .ociArchive(file: path, tag: tag)
        case "docker-archive":
            let (path, name) = try ReferenceText.pathAndName(rest, of: text)
            return .dockerArchive(file: path, reference: name)
        case "tar": return .tar(file: rest)
        case "zip": return .zip(file: rest)
        case "dir": return .directory(rest)
        case "file": return .file(rest)
        default: throw ReferenceText.unknown(type, role: "source", forms: forms)
        }
    }

    private static let forms =
        "oci:DIR:TAG, oci-archive:FILE[:TAG], docker-archive:FILE[:REF], tar:FILE, zip:FILE, dir:DIR or file:FILE"
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

    static func unknown(_ type: Substring, role: String, forms: String) -> CacheError {
        CacheError(.invalidInput, "unknown \(role) type '\(type)': use \(forms)")
    }
}
