internal import CacheBase

/// `tenant/name:tag`: a mutable name for an image.
///
/// The first component is the tenant. The name that follows is one or more components, joined by `/`, of lower-case
/// letters and digits, with `.`, `_`, `__` or dashes between them; 200 bytes at most. The tag is 1 to 128 letters,
/// digits and `_ . -`, and begins with none of `.` and `-`; without one it is `latest`.
public struct ImageReference: Hashable, Sendable, CustomStringConvertible {
    public let tenant: TenantName
    public let name: String
    public let tag: String

    static let maximumNameBytes = 200

    /// - Throws: `.invalidInput` that says what is wrong with `text`.
    public init(parsing text: String) throws {
        func malformed(_ why: String) -> CacheError {
            CacheError(
                .invalidInput, "\(text.debugDescription.prefix(300)) is not a reference, tenant/name:tag: \(why)")
        }
        guard !text.utf8.contains(UInt8(ascii: "@")) else { throw malformed("a digest (@) is not supported") }
        guard let slash = text.firstIndex(of: "/") else { throw malformed("there is no / between tenant and name") }
        guard let tenant = TenantName(String(text[..<slash])) else {
            throw malformed("a tenant is 1 to 63 of a-z 0-9 . _ -, a letter or digit first")
        }
        var name = text[text.index(after: slash)...]
        var tag: Substring = "latest"
        if let colon = name.lastIndex(of: ":") {
            tag = name[name.index(after: colon)...]
            name = name[..<colon]
        }
        try self.init(tenant: tenant, name: String(name), tag: String(tag), malformed)
    }

    /// As above, from its parts.
    public init(tenant: TenantName, name: String, tag: String = "latest") throws {
        try self.init(tenant: tenant, name: name, tag: tag) { why in
            CacheError(
                .invalidInput, "\("\(tenant)/\(name):\(tag)".debugDescription.prefix(300)) is not a reference: \(why)")
        }
    }

    private init(tenant: TenantName, name: String, tag: String, _ malformed: (String) -> CacheError) throws {
        guard Self.isName(name) else {
            throw malformed(
                "a name is components of a-z 0-9, with . _ or - between them, joined by /, at most"
                    + " \(Self.maximumNameBytes) bytes"
            )
        }
        guard Self.isTag(tag) else {
            throw malformed("a tag is 1 to 128 of A-Z a-z 0-9 _ . -, and begins with neither . nor -")
        }
        self.tenant = tenant
        self.name = name
        self.tag = tag
    }

    public var description: String { "\(tenant)/\(name):\(tag)" }

    static func isName(_ name: String) -> Bool {
        name.utf8.count <= maximumNameBytes
            && name.utf8.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false).allSatisfy(isComponent)
    }

    private static func isComponent(_ component: Substring.UTF8View) -> Bool {
        guard let first = component.first, let last = component.last, TenantName.isLetterOrDigit(first),
            TenantName.isLetterOrDigit(last)
        else { return false }
        let separators = component.split(whereSeparator: TenantName.isLetterOrDigit)
        return separators.allSatisfy { run in
            run.elementsEqual(".".utf8) || run.elementsEqual("_".utf8) || run.elementsEqual("__".utf8)
                || run.allSatisfy { $0 == UInt8(ascii: "-") }
        }
    }

    static func isTag(_ tag: String) -> Bool {
        guard let first = tag.utf8.first, tag.utf8.count <= 128, !".-".utf8.contains(first) else { return false }
        return tag.utf8.allSatisfy { byte in
            TenantName.isLetterOrDigit(byte) || (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(byte)
                || "_.-".utf8.contains(byte)
        }
    }
}
