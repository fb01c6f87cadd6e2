internal import CacheCrypto
internal import FoundationEssentials

/// The page that people look at: HTML with its style and its script in it, and the policy that lets exactly these run.
///
/// It is the same for everybody and says nothing of any daemon: what it shows it asks `/v1/stats` for, with the token
/// that whoever looks at it types in.
package enum Page {
    /// About 35 KB, put together at the first use.
    package static let html = document.html

    /// The value of `Content-Security-Policy`: nothing from elsewhere, nothing inline but what is here, by hash; no
    /// text ever becomes markup.
    package static let policy = [
        "default-src 'none'", "script-src '\(document.scriptHash)'", "style-src '\(document.styleHash)'",
        "connect-src 'self'", "img-src data:", "base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'",
        "require-trusted-types-for 'script'", "trusted-types 'none'",
    ].joined(separator: "; ")

    private static let document = Document(
        page: PackageResources.page_html, style: PackageResources.style_css,
        script: PackageResources.numbers_js + PackageResources.drawings_js + PackageResources.page_js)
}

private struct Document: Sendable {
    let html: String
    let styleHash: String
    let scriptHash: String

    init(page: [UInt8], style: [UInt8], script: [UInt8]) {
        // The places of both are comments of their languages, so that the part is a page by itself, too.
        html = String(decoding: page, as: UTF8.self)
            .replacing("/* style.css */", with: String(decoding: style, as: UTF8.self), maxReplacements: 1)
            .replacing("/* script.js */", with: String(decoding: script, as: UTF8.self), maxReplacements: 1)
        styleHash = Self.hash(style)
        scriptHash = Self.hash(script)
    }

    /// As a policy names what it lets run (Content Security Policy 3, section 2.3.1).
    private static func hash(_ bytes: [UInt8]) -> String {
        let digest = bytes.withUnsafeBytes { SHA256Digest(hashing: $0) }
        return "sha256-" + withUnsafeBytes(of: digest) { Data($0) }.base64EncodedString()
    }
}
