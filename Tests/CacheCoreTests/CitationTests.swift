import Foundation
import Testing

/// Comments that cite a section of a document, as in `docs/FORMAT.md, "Ref"`, cite one that is there.
@Suite struct CitationTests {
    @Test func citedSectionsExist() throws {
        let root = try #require(#filePath.ranges(of: "/Tests/").last.map { #filePath[..<$0.lowerBound] })
        let files = try FileManager.default.subpathsOfDirectory(atPath: "\(root)/Sources").filter {
            $0.hasSuffix(".swift")
        }
        var citations = 0
        for file in files {
            let text = try String(contentsOfFile: "\(root)/Sources/\(file)", encoding: .utf8)
            for match in text.matches(of: /docs\/([A-Z-]+\.md), "([^"]+)"/) {
                citations += 1
                let document = try String(contentsOfFile: "\(root)/docs/\(match.1)", encoding: .utf8)
                // A heading may go on with a size or a remark in brackets.
                let headings = document.split(separator: "\n").filter { $0.hasPrefix("#") }
                    .map { $0.drop { $0 == "#" || $0 == " " } }
                #expect(
                    headings.contains { $0 == match.2 || $0.hasPrefix("\(match.2) (") },
                    "\(file) cites \(match.1), \"\(match.2)\"")
            }
        }
        #expect(citations >= 6)
    }
}
