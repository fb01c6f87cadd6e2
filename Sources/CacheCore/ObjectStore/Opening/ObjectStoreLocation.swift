internal import CacheBase

/// Where L3 is, as the command line and the configuration name it.
public enum ObjectStoreLocation: Sendable, Hashable {
    /// A directory: `file:///path`, or a bare path, absolute or relative.
    case directory(String)

    /// What could be one of these as well as a path is refused, and a path that begins so is written with `./` before
    /// it.
    ///
    /// - Throws: `.unsupported` for a kind of store that this build does not know, `.invalidInput` for what is no
    ///   location.
    public static func parse(_ text: String) throws -> ObjectStoreLocation {
        guard !text.isEmpty, !text.utf8.contains(0) else {
            throw CacheError(.invalidInput, "an object store is file:///PATH or a path; got an empty one")
        }
        guard let colon = text.utf8.firstIndex(of: UInt8(ascii: ":")) else { return .directory(text) }
        let scheme = text[..<colon].lowercased()
        let rest = String(text[text.utf8.index(after: colon)...])
        guard isScheme(scheme), rest.utf8.starts(with: "//".utf8) || knownSchemes.contains(scheme) else {
            return .directory(text)
        }
        switch scheme {
        case "file":
            guard rest.utf8.starts(with: "///".utf8) else {
                throw CacheError(
                    .invalidInput,
                    "\(text) is no file URL of this host: an absolute path has three slashes, file:///PATH (a path that"
                        + " begins with file: is written ./file:)"
                )
            }
            return .directory(try percentDecoded(String(rest.utf8.dropFirst(2)) ?? "", of: text))
        case "s3":
            throw CacheError(
                .unsupported, "\(text): S3 stores come later; use a directory, file:///PATH, which may be a mounted one"
            )
        default:
            throw CacheError(
                .unsupported, "\(text): unknown kind of object store \(scheme)://; use file:///PATH or a path")
        }
    }

    private static let knownSchemes: Set = ["file", "s3", "http", "https"]

    /// RFC 3986, section 3.1.
    private static func isScheme(_ text: String) -> Bool {
        guard let first = text.utf8.first, (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(first) else { return false }
        return text.utf8.allSatisfy { byte in
            (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte)
                || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) || "+-.".utf8.contains(byte)
        }
    }

    /// What a store of this kind needs around it.
    public var resilience: ResiliencePolicy {
        switch self {
        // A call of the file system that failed fails again, and the store bounds its calls itself.
        case .directory: .none
        }
    }

    /// Opens the store, with ``resilience`` around it. Blocks for some file operations.
    ///
    /// - Parameter create: makes a directory that is missing: for those who push.
    public func open(create: Bool) throws -> any ObjectStore {
        switch self {
        case .directory(let path): try FileObjectStore(root: path, create: create).resilient(resilience)
        }
    }

    /// The store, opened by the first call: for readers that have what they need elsewhere while it is away.
    public func openLate() -> any ObjectStore {
        LateObjectStore { try open(create: false) }
    }

    private static func percentDecoded(_ path: String, of url: String) throws -> String {
        var bytes: [UInt8] = []
        var rest = path.utf8[...]
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "%") else {
                // In a URL they end the path.
                guard !"?#".utf8.contains(byte) else {
                    throw CacheError(.invalidInput, "\(url) has a query or fragment: write ? as %3F and # as %23")
                }
                bytes.append(byte)
                continue
            }
            let digits = rest.prefix(2)
            guard digits.count == 2, let value = hexadecimal(digits), value != 0, value != UInt8(ascii: "/") else {
                throw CacheError(.invalidInput, "\(url) is no URL: % needs two hexadecimal digits, not 00 or 2F")
            }
            bytes.append(value)
            rest = rest.dropFirst(2)
        }
        guard let decoded = String(validating: bytes, as: UTF8.self) else {
            throw CacheError(.invalidInput, "\(url) is no URL: its path is not UTF-8")
        }
        return decoded
    }

    private static func hexadecimal(_ digits: Substring.UTF8View) -> UInt8? {
        // A sign would pass for a digit.
        guard digits.allSatisfy({ $0 != UInt8(ascii: "+") && $0 != UInt8(ascii: "-") }) else { return nil }
        return UInt8(String(Substring(digits)), radix: 16)
    }
}
