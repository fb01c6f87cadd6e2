import CacheCore
import Testing

@testable import CacheAccess

/// Tokens as clients keep them.
struct AccessTokenTests {
    @Test func tokenIsTakenFromAFile() throws {
        let token = AccessToken.make()
        for text in [token.text, token.text + "\n", " \t" + token.text + "\r\n\n"] {
            #expect(try AccessToken(file: Array(text.utf8), path: "f").text == token.text)
        }
        for text in [
            "", "\n", "lct_", token.text.uppercased(), token.text + " " + token.text, String(token.text.dropLast()),
            token.text + "0", "Bearer " + token.text,
        ] {
            do {
                _ = try AccessToken(file: Array(text.utf8), path: "the/file")
                Issue.record("\(text) is taken")
            } catch {
                #expect(error.description.contains("the/file"))
                #expect(!error.description.contains(token.text.dropFirst(4)))
            }
        }
    }

    @Test func scopesContainOneAnother() {
        #expect(AccessScope.allCases.map(\.name) == ["read", "write", "admin"])
        #expect(AccessScope.read < .write && AccessScope.write < .admin)
        #expect(AccessScope("write") == .write)
        #expect(AccessScope("Write") == nil)
        #expect(AccessScope("") == nil)
    }
}
