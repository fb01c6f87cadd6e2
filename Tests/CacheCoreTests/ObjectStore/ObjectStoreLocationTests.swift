import CacheCore
import Testing

@Suite struct ObjectStoreLocationTests {
    @Test(arguments: [
        ("/var/l3", "/var/l3"), ("l3", "l3"), ("file:///var/l3", "/var/l3"), ("file:///a%20b", "/a b"),
        ("./x:y", "./x:y"), ("x:y", "x:y"), ("./file:x", "./file:x"), ("/a//b://c", "/a//b://c"), ("é", "é"),
        ("e\u{301}", "e\u{301}"), ("file:///e%CC%81", "/e\u{301}"), ("FILE:///x", "/x"), ("/\u{301}x", "/\u{301}x"),
    ])
    func directories(_ text: String, _ path: String) throws {
        #expect(try ObjectStoreLocation.parse(text) == .directory(path))
    }

    @Test(arguments: [
        ("", CacheError.Code.invalidInput), ("file://host/x", .invalidInput), ("file:///a%2", .invalidInput),
        ("file:///a%00", .invalidInput), ("file:///%ff", .invalidInput),
        ("s3://bucket/prefix?endpoint=x", .unsupported),
        ("http://x/y", .unsupported), ("http:x", .unsupported), ("s3:bucket", .unsupported), ("gs://b/c", .unsupported),
        ("file:/x", .invalidInput), ("file:x", .invalidInput), ("FILE://x", .invalidInput), ("file://", .invalidInput),
        ("file:///a%2Fb", .invalidInput), ("file:///a%+1", .invalidInput), ("file:///a?b", .invalidInput),
        ("file:///a#b", .invalidInput), ("file:///a%", .invalidInput),
    ])
    func refused(_ text: String, _ code: CacheError.Code) async {
        let error = await failure { try ObjectStoreLocation.parse(text) }
        #expect(error?.code == code, "\(text)")
    }
}
