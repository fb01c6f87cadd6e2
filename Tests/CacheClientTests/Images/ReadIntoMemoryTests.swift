import CacheClient
import CacheCore
import Foundation
import Glibc
import NIOCore
import TestSupport
import Testing

/// Reads into memory that the caller has already, and reads that fail half-way.
@Suite(.timeLimit(.minutes(10))) struct ReadIntoMemoryTests {
    private let fixture: ClientFixture

    init() throws { fixture = try ClientFixture() }

    /// An agent that answers requests with pages of its own.
    private actor Device {
        private let page = UnsafeMutableRawBufferPointer.allocate(byteCount: 1_500_000, alignment: 4096)

        isolated deinit { page.deallocate() }

        private func fill() {
            if let start = page.baseAddress { memset(start, 0xA5, page.count) }
        }

        /// What was read, and whether the bytes behind it are as before.
        func read(_ layer: CachedLayer, at start: Int, count: Int) async throws -> (bytes: [UInt8], isKept: Bool) {
            fill()
            try await layer.read(
                at: RegionAddress(rawValue: UInt64(start)),
                into: UnsafeMutableRawBufferPointer(rebasing: page[..<count]))
            return (Array(page[..<count]), page[count...].prefix(5000).allSatisfy { $0 == 0xA5 })
        }

        func read(_ layer: CachedLayer, _ entry: LayerEntry, at offset: Int, count: Int) async throws -> (
            bytes: [UInt8], isKept: Bool
        ) {
            fill()
            let filled = try await layer.read(
                entry, at: offset, into: UnsafeMutableRawBufferPointer(rebasing: page[..<count]))
            return (Array(page[..<filled]), page[filled...].prefix(5000).allSatisfy { $0 == 0xA5 })
        }
    }

    @Test func anyRangeOfAFile() async throws {
        let content = fixture.bytes(600_000) + [UInt8](repeating: 0, count: 1 << 20) + fixture.bytes(300_001)
        try await fixture.push(content)
        let device = Device()
        var random = SeededGenerator(seed: fixture.random)
        try await fixture.withCache(memory: 1 << 20) { cache in
            let layer = try await fixture.image(cache).layers[0]
            for round in 0..<40 {
                let start = round == 0 ? content.count : Int.random(in: 0...content.count, using: &random)
                let count = Int.random(in: 0...min(content.count - start, 1_400_000), using: &random)
                let (bytes, isKept) = try await device.read(layer, at: start, count: count)
                #expect(bytes == Array(content[start..<start + count]), "\(count) at \(start), seed \(random.seed)")
                #expect(isKept, "\(count) at \(start), seed \(random.seed)")
            }
            // What pads the last chunk to its slot.
            let (bytes, _) = try await device.read(layer, at: content.count - 1, count: 1000)
            #expect(bytes == [content[content.count - 1]] + [UInt8](repeating: 0, count: 999))
            let error = await cacheError { _ = try await device.read(layer, at: 4 << 20, count: 1) }
            #expect(error?.code == .invalidInput)
        }
    }

    @Test func filesOfATar() async throws {
        let tree = fixture("tree")
        try FileManager.default.createDirectory(atPath: tree, withIntermediateDirectories: true)
        let bytes = fixture.bytes(700_000)
        try Data(bytes).write(to: URL(fileURLWithPath: "\(tree)/plain"))
        try Data().write(to: URL(fileURLWithPath: "\(tree)/empty"))
        try #require(
            system(
                "cd '\(tree)' && truncate -s 1200000 sparse && dd if=plain of=sparse bs=4096 seek=64 count=32 "
                    + "conv=notrunc 2>/dev/null"
            ) == 0)
        try #require(system("tar -C '\(tree)' --sparse -cf '\(fixture("tree.tar"))' .") == 0)
        try await fixture.push(.tar(file: fixture("tree.tar")))
        let device = Device()
        try await fixture.withCache { cache in
            let layer = try await fixture.image(cache).layers[0]
            var found: Set<String> = []
            for try await entry in layer.entries where entry.kind == .file {
                found.insert(entry.displayPath)
                let content = Array(try Data(contentsOf: URL(fileURLWithPath: "\(tree)/\(entry.displayPath)")))
                for (offset, count) in [
                    (0, 1_500_000), (content.count / 2, 300_000), (content.count, 1), (1 << 40, 5), (0, 0),
                    (262_143, 3),
                    (max(content.count - 3, 0), 10),
                ] {
                    let (bytes, isKept) = try await device.read(layer, entry, at: offset, count: count)
                    #expect(
                        bytes == Array(content.dropFirst(offset).prefix(count)),
                        "\(entry.displayPath): \(count) at \(offset)")
                    #expect(isKept, "\(entry.displayPath): \(count) at \(offset)")
                }
                let error = await cacheError { _ = try await device.read(layer, entry, at: -1, count: 1) }
                #expect(error?.code == .invalidInput)
            }
            #expect(found == ["./plain", "./empty", "./sparse"])
        }
    }

    /// A reader that tries again must not find a part of the first try before what it reads then.
    @Test func failedReadAppendsNothing() async throws {
        let content = fixture.bytes(2_000_000)
        try Data(content).write(to: URL(fileURLWithPath: fixture("f")))
        try #require(system("tar -C '\(fixture.path)' -cf '\(fixture("f.tar"))' f") == 0)
        try await fixture.push(.tar(file: fixture("f.tar")))
        try await fixture.withCache { cache in
            let layer = try await fixture.image(cache).layers[0]
            var file: LayerEntry?
            for try await entry in layer.entries { file = entry }
            let entry = try #require(file)
            let run = try #require(entry.content)
            var buffer = ByteBuffer(string: "before")
            // The first chunk comes from memory, the others are lost.
            var first = ByteBuffer()
            try await layer.read(entry, at: 0, count: 10, into: &first)
            fixture.store.set(.losing)
            for isEntry in [true, false] {
                let error = await cacheError {
                    if isEntry {
                        try await layer.read(entry, at: 0, count: content.count, into: &buffer)
                    } else {
                        try await layer.read(at: run.address, count: content.count, into: &buffer)
                    }
                }
                #expect(error?.code == .missing)
                #expect(buffer == ByteBuffer(string: "before"))
            }
            fixture.store.set(.none)
            try await layer.read(entry, at: 0, count: content.count, into: &buffer)
            #expect(buffer.readString(length: 6) == "before")
            #expect(buffer == ByteBuffer(bytes: content))
        }
    }
}

@Suite struct ConfigurationTests {
    /// One line that names the value, before anything is opened.
    @Test func impossibleLimitsAreRefused() async throws {
        let fixture = try ClientFixture()
        let changes: [(name: String, change: @Sendable (inout CacheConfiguration) -> Void)] = [
            ("l1Capacity", { $0.l1Capacity = 1 }), ("memoryBytes", { $0.memoryBytes = -1 }),
            ("l3Concurrency", { $0.l3Concurrency = 0 }), ("l3Queue", { $0.l3Queue = 0 }),
            ("l2Connections", { $0.l2Connections = -1 }), ("fillBytes", { $0.fillBytes = 0 }),
            ("readAhead", { $0.readAhead = 0 }), ("threads", { $0.threads = 0 }),
            ("l1Deadline", { $0.l1Deadline = .zero }),
            ("l2Deadline", { $0.l2Deadline = .zero }), ("l3Deadline", { $0.l3Deadline = .seconds(-1) }),
        ]
        for (name, change) in changes {
            let error = await cacheError { try await fixture.withCache(l1: fixture("l1"), change) { _ in } }
            #expect(error?.code == .invalidInput, "\(name)")
            #expect(error?.description.contains(name) == true, "\(name)")
        }
        #expect(!FileManager.default.fileExists(atPath: fixture("l1")))
        try CacheConfiguration(l3: fixture.store).validate()
    }
}
