/// Where L3 is, as the command line and the configuration name it.
public enum ObjectStoreLocation: Sendable, Hashable {
    /// A directory: `file:///path`, or a bare path, absolute or relative.
    case directory(String)

    /// - Throws: `.unsupported` for a kind of store that this build does not know, `.invalidInput` for what is no location.
    public static func parse(_ text: String) throws -> ObjectStoreLocation {
        guard !text.isEmpty, !text.utf8.contains(0) else {
            throw CacheError(.invalidInput, "an object store is file:///PATH or a path; got an empty one")
        }
        guard let scheme = text.firstRange(of: "://") else { return .directory(text) }
        let rest = String(text[scheme.upperBound...])
        switch text[..<scheme.lowerBound] {
        case "file":
            guard rest.hasPrefix("/") else {
                throw CacheError(
                    .invalidInput, "\(text) is no file URL: an absolute path has three slashes, file:///PATH")
            }
            return .directory(try percentDecoded(rest, of: text))
        case "s3":
            throw CacheError(
                .unsupported, "\(text): S3 stores come later; use a directory, file:///PATH, which may be a mounted one"
            )
        case let other:
            throw CacheError(.unsupported, "\(text): unknown kind of object store \(other)://; use file:///PATH")
        }
    }

    /// Opens the store. Blocks for some file operations.
    ///
    /// - Parameter create: makes a directory that is missing: for those who push.
    public func open(create: Bool) throws -> any ObjectStore {
        switch self {
        case .directory(let path): try FileObjectStore(root: path, create: create)
        }
    }

    /// The store, opened by the first call: for those who read, and have what they need elsewhere while it is away.
    public func openLate() -> any ObjectStore {
        LateObjectStore { try open(create: false) }
    }

    private static func percentDecoded(_ path: String, of url: String) throws -> String {
        var bytes: [UInt8] = []
        var rest = path.utf8[...]
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "%") else {
                bytes.append(byte)
                continue
            }
            guard let digits = String(rest.prefix(2)), digits.utf8.count == 2, let value = UInt8(digits, radix: 16),
                value != 0
            else { throw CacheError(.invalidInput, "\(url) is no URL: % needs two hexadecimal digits, not 00") }
            bytes.append(value)
            rest = rest.dropFirst(2)
        }
        guard let decoded = String(validating: bytes, as: UTF8.self) else {
            throw CacheError(.invalidInput, "\(url) is no URL: its path is not UTF-8")
        }
        return decoded
    }
}
