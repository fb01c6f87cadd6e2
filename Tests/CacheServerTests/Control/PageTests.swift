import CacheCore
import CachePage
import CacheServer
import Foundation
import NIOCore
import TestSupport
import Testing

@testable import CacheAccess

/// The page at `/`, as far as it can be judged without a browser (Scripts/look-at-page has one).
struct PageTests {
    private static let browser = ["Accept": "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8"]

    @Test func whoAsksForHTMLGetsThePage() async throws {
        try await TestServer.run { server async throws in
            let page = try await server.call("GET", server.url("/"), headers: Self.browser)
            #expect(page.status == 200)
            #expect(page.headers["content-type"] == "text/html; charset=utf-8")
            #expect(page.text == Page.html)
            let head = try await server.call("HEAD", server.url("/"), headers: Self.browser)
            #expect(head.headers["content-length"] == "\(page.body.readableBytes)")
            #expect(head.body.readableBytes == 0)
            #expect(try await server.call("POST", server.url("/"), headers: Self.browser).status == 405)
            for headers in [[:], ["Accept": "*/*"], ["Accept": "application/json"]] {
                let overview = try await server.call("GET", server.url("/"), headers: headers)
                #expect(overview.status == 200)
                #expect(overview.headers["content-type"] == "text/plain; charset=utf-8")
                #expect(overview.text.contains("/v1/stats"))
            }
        }
    }

    /// A browser sends no token for a page that it opens, so a 401 has the page with it, which asks for one; and says
    /// nothing else.
    @Test func withoutATokenThePageSaysNothing() async throws {
        let directory = try TemporaryDirectory()
        var security = ServerSecurity()
        security.tokensFile = directory("tokens.json")
        let token = try TokenFile.add("reader", .read, to: directory("tokens.json")).text
        try await TestServer.run(security: security) { server async throws in
            for wrong in [[:], ["Authorization": "Bearer \(AccessToken.make().text)"]] {
                let page = try await server.call(
                    "GET", server.url("/"), headers: Self.browser.merging(wrong) { $1 })
                #expect(page.status == 401)
                #expect(page.headers["www-authenticate"]?.hasPrefix("Bearer") == true)
                #expect(page.text == Page.html)
                #expect(page.headers["content-security-policy"] == Page.policy)
                let bare = try await server.call("GET", server.url("/"), headers: wrong)
                #expect(bare.status == 401)
                #expect(bare.text == "a valid token is needed: Authorization: Bearer TOKEN\n")
                // What a browser asks for is no way around.
                for path in ["/v1/stats", "/metrics", "//", "/?x", "/index.html"] {
                    let other = try await server.call(
                        "GET", server.url(path), headers: Self.browser.merging(wrong) { $1 })
                    #expect(other.status == 401, "\(path)")
                    #expect(!other.text.contains("<"), "\(path)")
                }
            }
            let right = ["Authorization": "Bearer \(token)"]
            #expect(
                try await server.call("GET", server.url("/"), headers: Self.browser.merging(right) { $1 }).status
                    == 200)
            #expect(try await server.call("GET", server.url("/"), headers: right).status == 200)
        }
    }

    @Test func thePolicyLetsNothingRunButWhatIsInThePage() throws {
        let html = Page.html
        let style = try #require(html.firstMatch(of: #/<style>([\s\S]*?)</style>/#)?.output.1)
        let script = try #require(html.firstMatch(of: #/<script type="module">([\s\S]*?)</script>/#)?.output.1)
        for (directive, text) in [("style-src", style), ("script-src", script)] {
            let digest = Array(text.utf8).withUnsafeBytes { SHA256Digest(hashing: $0) }
            let hash = withUnsafeBytes(of: digest) { Data($0) }.base64EncodedString()
            #expect(Page.policy.contains("\(directive) 'sha256-\(hash)';"))
        }
        #expect(html.matches(of: #/<(script|style)/#).count == 2)
        #expect(Page.policy.hasPrefix("default-src 'none'; "))
        #expect(!Page.policy.contains("unsafe"))
        // Neither a style nor a handler at an element, and nothing from elsewhere.
        #expect(html.firstMatch(of: #/<[a-z][^>]*\s(style|on[a-z]+)=/#) == nil)
        #expect(html.firstMatch(of: #/(src|href)="(?!data:|\/|#)/#) == nil)
    }

    /// What is compiled in is what lies in the sources.
    @Test func thePageIsItsSources() throws {
        let parts = URL(fileURLWithPath: #filePath).appending(path: "../../../../Sources/CachePage/Parts").standardized
        func part(_ name: String) throws -> String {
            try String(contentsOf: parts.appending(path: name), encoding: .utf8)
        }
        let script = try ["numbers.js", "drawings.js", "page.js"].map(part).joined()
        let expected = try part("page.html").replacing("/* style.css */", with: try part("style.css"))
            .replacing("/* script.js */", with: script)
        #expect(Page.html == expected)
    }
}
