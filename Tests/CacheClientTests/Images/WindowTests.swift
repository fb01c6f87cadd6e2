import CacheClient
import CacheCore
import Foundation
import TestSupport
import Testing

/// What a streaming read keeps while it goes on.
@Suite struct WindowTests {
    /// Small files share a pack that stays open while many big files, each with a tail of its own, pass by.
    @Test func packIsFetchedOnceHoweverManyBigFilesLieBetween() async throws {
        let fixture = try ClientFixture()
        let tree = URL(fileURLWithPath: fixture("tree"))
        try FileManager.default.createDirectory(at: tree, withIntermediateDirectories: true)
        let content = fixture.bytes(12 * 700_000)
        for number in 0..<12 {
            let big = content[(number * 700_000)...].prefix(700_000)
            try Data(big).write(to: tree.appendingPathComponent("\(10 + number)-big"))
        }
        // They come first and last: a directory is read in the order of its names.
        try Data("first".utf8).write(to: tree.appendingPathComponent("00-small"))
        try Data("last".utf8).write(to: tree.appendingPathComponent("99-small"))
        try await fixture.push(.directory(tree.path))
        try await fixture.withCache(memory: 0) { cache in
            let counts = try await fixture.readAll(cache).counts
            let image = try await fixture.image(cache)
            let layer = try #require(image.layers.first)
            #expect(counts.l3.chunks == (layer.manifest.data + layer.manifest.skeleton).count(where: { !$0.isZero }))
        }
    }
}
