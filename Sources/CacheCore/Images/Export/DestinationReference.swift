internal import CacheBase

/// Where a pull writes to, written as `skopeo` writes it: `oci:DIR:TAG`, `tar:FILE`, ...
public enum DestinationReference: Sendable, Equatable {
    /// An OCI image layout in a directory, new or existing; an image of the same tag is replaced, others stay.
    case ociLayout(directory: String, tag: String)
    /// A new OCI image layout in a tar.
    case ociArchive(file: String, tag: String?)
    /// The uncompressed tar of an image that has one layer.
    case tar(file: String)
    /// The files themselves, layers applied over one another, in a directory that is empty or does not exist.
    case directory(String)
    /// The raw file that was pushed as one.
    case file(String)

    /// Takes the text of a command line apart; looks at no file.
    /// - Throws: ``CacheError`` `.invalidInput` that says how to write it.
    public static func parse(_ text: String) throws -> DestinationReference {
        let (type, rest) = try ReferenceText.split(text, role: "destination", forms: forms)
        switch type {
        case "oci":
            let (path, tag) = try ReferenceText.pathAndName(rest, of: text)
            guard let tag else {
                throw CacheError(.invalidInput, "destination '\(text)' has no tag: write oci:\(path):TAG")
            }
            return .ociLayout(directory: path, tag: tag)
        case "oci-archive":
            let (path, tag) = try ReferenceText.pathAndName(rest, of: text)
            return .ociArchive(file: path, tag: tag)
        case "tar": return .tar(file: rest)
        case "dir": return .directory(rest)
        case "file": return .file(rest)
        default: throw ReferenceText.unknown(type, role: "destination", forms: forms)
        }
    }

    private static let forms = "oci:DIR:TAG, oci-archive:FILE, tar:FILE, dir:DIR or file:FILE"
}
