import CacheCore
import Foundation
import Testing

@Suite struct LimitTests {
    /// docs/OPERATIONS.md has the table of ``Limit``, row by row.
    @Test func theDocumentListsThemAll() throws {
        // Wherever in the package this file stands.
        let root = try #require(#filePath.ranges(of: "/Tests/").last.map { #filePath[..<$0.lowerBound] })
        let document = try String(contentsOfFile: "\(root)/docs/OPERATIONS.md", encoding: .utf8)
        let lines = document.split(separator: "\n", omittingEmptySubsequences: false)
        let start = try #require(lines.firstIndex(of: "| limit | default | of what |")) + 2
        let rows = lines[start...].prefix { $0.hasPrefix("|") }.map(String.init)
        let limits = ImportLimits()
        #expect(rows == Limit.allCases.map { "| `\($0.rawValue)` | \($0.text(limits[$0])) | \($0.meaning) |" })
    }

    @Test(arguments: Limit.allCases) func eachHasAFieldOfItsOwn(_ limit: Limit) {
        var limits = ImportLimits()
        let standard = limits[limit]
        #expect(standard > 0)
        #expect(standard <= limit.maximum)
        limits[limit] = standard - 1
        for other in Limit.allCases {
            #expect(limits[other] == (other == limit ? standard - 1 : ImportLimits()[other]))
        }
        limits[limit] = .max
        #expect(limits[limit] >= min(limit.maximum, 1 << 31))
    }

    @Test func anErrorNamesTheOption() {
        let depth = Limit.directoryDepth.exceeded("d is more than 3 directories deep")
        #expect(depth.code == .limitExceeded)
        #expect("\(depth)" == "d is more than 3 directories deep: raise it with --limit directory-depth=N")
        #expect("\(Limit.layerBytes.exceeded("x"))".hasSuffix("--limit layer-bytes=SIZE"))
    }

    @Test func sizesAsTheyAreTyped() {
        #expect(Limit.layerBytes.text(256 << 30) == "256GiB")
        #expect(Limit.layerBytes.text(3 << 40) == "3TiB")
        #expect(Limit.layerBytes.text(1 << 60) == "1048576TiB")
        #expect(Limit.layerBytes.text(4999) == "4999B")
        #expect(Limit.directoryDepth.text(2048) == "2048")
    }

    @Test func treesOfAnyDepthThatAPathCanName() throws {
        let fixture = try ImportFixture()
        // More directories than may be open at once, one beside another, and files after them on the way up.
        try fixture.python(
            """
            os.mkdir('in'); os.chdir('in')
            for i in range(700):
                os.makedirs('d/e'); open('z', 'w').write(str(i)); os.chdir('d')
            """)
        let source = try ImageSource.open(.directory(fixture("in"))).layers[0]
        try fixture.shell("mkdir out")
        try Data(source.open().readAll()).write(to: URL(fileURLWithPath: fixture("out.tar")))
        try fixture.shell("tar -C out -xf out.tar; diff -r in out")
        var limits = ImportLimits()
        limits.directoryDepth = 700
        let error = cacheError {
            try ImageSource.open(.directory(fixture("in")), limits: limits).layers[0].open().drain { _ in }
        }
        #expect(error?.message.hasSuffix("raise it with --limit directory-depth=N") == true)
    }
}
