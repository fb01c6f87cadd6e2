import CacheClient
import CacheCore
import Foundation
import Glibc
import NIOCore
import TestSupport
import Testing

/// Random access to what was pushed, compared with the original.
@Suite(.timeLimit(.minutes(10))) struct ReadTests {
    private let fixture: ClientFixture

    init() throws { fixture = try ClientFixture() }

    @Test func anyRangeOfAFile() async throws {
        let content =
            fixture.bytes(1_000_000) + [UInt8](repeating: 0, count: 1 << 20) + fixture.bytes(700_001)
        try await fixture.push(content)
        var random = SeededGenerator(seed: fixture.random)
        try await fixture.withCache(memory: 1 << 20) { cache in
            let layer = try await fixture.image(cache).layers[0]
            for _ in 0..<200 {
                let start = Int.random(in: 0...content.count, using: &random)
                let count =
                    Int.random(in: 0...content.count - start, using: &random) / Int.random(in: 1...100, using: &random)
                var buffer = ByteBuffer(string: "before")
                try await layer.read(at: RegionAddress(rawValue: UInt64(start)), count: count, into: &buffer)
                #expect(buffer.readString(length: 6) == "before")
                #expect(
                    buffer == ByteBuffer(bytes: content[start..<start + count]),
                    "\(count) bytes at \(start), seed \(fixture.random)")
            }
        }
    }

    @Test func whatIsInMemoryIsReadWithoutWaiting() async throws {
        let content = fixture.bytes(1_300_000)
        try await fixture.push(content)
        try await fixture.withCache { cache in
            let layer = try await fixture.image(cache).layers[0]
            var buffer = ByteBuffer()
            let middle = RegionAddress(rawValue: (1 << 19) - 100)
            #expect(try !layer.readCached(at: middle, count: 200, into: &buffer))
            #expect(buffer.readableBytes == 0)
            _ = try await layer.collect()
            #expect(try layer.readCached(at: middle, count: 200, into: &buffer))
            #expect(buffer == ByteBuffer(bytes: content[(1 << 19) - 100..<(1 << 19) + 100]))
        }
    }

    @Test func rangesThatLeaveTheRegionAreRefused() async throws {
        try await fixture.push(fixture.bytes(10_000))
        try await fixture.withCache { cache in
            let layer = try await fixture.image(cache).layers[0]
            for (address, count) in [
                (UInt64(0), -1), (0, Int.min), (0, (1 << 19) + 1), (1 << 19, 1), (.max, 1), (.max, 0), (1 << 60, 1),
                (1, .max), (0, .max), (.max, .max),
            ] {
                var buffer = ByteBuffer()
                let error = await cacheError {
                    try await layer.read(at: RegionAddress(rawValue: address), count: count, into: &buffer)
                }
                #expect([.invalidInput, .limitExceeded].contains(error?.code), "\(count) at \(address)")
            }
        }
    }

    /// Files of all sizes, empty ones, links and sparse ones, read through the entry table.
    @Test func filesOfATar() async throws {
        let tree = fixture("tree")
        try FileManager.default.createDirectory(atPath: tree, withIntermediateDirectories: true)
        var files: [String: [UInt8]] = [:]
        let bytes = fixture.bytes(2_000_000)
        for (index, size) in [0, 1, 511, 4096, 5000, 100_000, 524_287, 524_288, 524_289, 1_500_000].enumerated() {
            files["file\(index)"] = Array(bytes[index..<index + size])
        }
        for (name, content) in files { try Data(content).write(to: URL(fileURLWithPath: "\(tree)/\(name)")) }
        let sparse = try FileHandle(forUpdating: try #require(Self.created("\(tree)/sparse")))
        try sparse.truncate(atOffset: 3_000_000)
        for offset in [UInt64(0), 1 << 20, 2_000_000] {
            try sparse.seek(toOffset: offset)
            try sparse.write(contentsOf: bytes[0..<70_000])
        }
        try sparse.close()
        files["sparse"] = Array(try Data(contentsOf: URL(fileURLWithPath: "\(tree)/sparse")))
        try #require(system("tar -C '\(tree)' --sparse -cf '\(fixture("tree.tar"))' .") == 0)
        try await fixture.push(.tar(file: fixture("tree.tar")))

        try await fixture.withCache { cache in
            let layer = try await fixture.image(cache).layers[0]
            #expect(try await layer.collect() == Array(Data(contentsOf: URL(fileURLWithPath: fixture("tree.tar")))))
            var found = 0
            for try await entry in layer.entries where entry.kind == .file {
                let content = try #require(files[String(entry.displayPath.dropFirst(2))])
                found += 1
                #expect(entry.size == content.count)
                #expect((entry.segments != nil) == (entry.displayPath == "./sparse"))
                for (offset, count) in [
                    (0, content.count), (0, .max), (content.count / 2, 100_000), (content.count, 1), (1 << 40, 5),
                    (69_999, 2), (max(content.count - 3, 0), 10),
                ] {
                    var buffer = ByteBuffer()
                    try await layer.read(entry, at: offset, count: count, into: &buffer)
                    #expect(
                        buffer == ByteBuffer(bytes: content.dropFirst(offset).prefix(count)),
                        "\(entry.displayPath): \(count) at \(offset)")
                }
                var buffer = ByteBuffer()
                let error = await cacheError { try await layer.read(entry, at: -1, count: 1, into: &buffer) }
                #expect(error?.code == .invalidInput)
            }
            #expect(found == files.count)
        }
    }

    private static func created(_ path: String) -> URL? {
        FileManager.default.createFile(atPath: path, contents: nil) ? URL(fileURLWithPath: path) : nil
    }

    @Test(arguments: [0, 1, 512, 1024, 1 << 19, (1 << 19) + 1]) func edgesOfSize(_ size: Int) async throws {
        let content = fixture.bytes(size)
        try await fixture.push(content)
        try await fixture.withCache { cache in
            try await fixture.expect(content, from: cache)
            try await ImagePuller(try await fixture.image(cache)).pull(to: .file(fixture("out")))
        }
        #expect(try Array(Data(contentsOf: URL(fileURLWithPath: fixture("out")))) == content)
    }

    @Test func emptyTar() async throws {
        for bytes in [Data(), Data(count: 1024)] {
            try bytes.write(to: URL(fileURLWithPath: fixture("empty.tar")))
            try await fixture.push(.tar(file: fixture("empty.tar")))
            try await fixture.withCache { cache in
                let layer = try await fixture.image(cache).layers[0]
                #expect(try await layer.collect() == Array(bytes))
                for try await entry in layer.entries { Issue.record("\(entry.displayPath) is in an empty tar") }
            }
        }
    }

    /// The budget of memory holds, and what does not fit is read again.
    @Test func memoryKeepsItsBound() async throws {
        let content = fixture.bytes(8 << 20)
        try await fixture.push(content)
        try await fixture.withCache(l1: fixture("l1"), memory: 2 << 20) { cache in
            for _ in 0..<2 { try await fixture.expect(content, from: cache) }
            #expect(cache.memoryUsage.bytes <= 2 << 20)
            #expect(cache.memoryUsage.chunks > 0)
            #expect(cache.counts.l3.chunks == 16)
            #expect(cache.counts.l1.chunks > 0)
        }
    }
}
