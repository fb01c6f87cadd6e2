import CacheCore
import NIOCore
import TestSupport
import Testing

/// Where contents go in the data region, and what that is for: equal files share chunks, a change stays local.
@Suite struct PackingTests {
    private static let slot = ChunkLimits.plainBytes

    private func chunks(_ layer: SplitLayer) -> Set<SHA256Digest> {
        Set((layer.data.values + layer.metadataChunks).map { $0.withUnsafeReadableBytes { SHA256Digest(hashing: $0) } })
    }

    @Test func bigFilesHaveSlotsOfTheirOwn() throws {
        var random = SeededGenerator(seed: 5)
        var tar = TarBuilder()
        tar.file("small", random.bytes(10))
        tar.file("big", random.bytes(2 * Self.slot + 100))
        tar.file("exactly", random.bytes(Self.slot))
        tar.file("small2", random.bytes(4097))
        tar.file("small3", random.bytes(1))
        tar.file("below", random.bytes(Self.slot - 1))
        let layer = try expectRoundTrip(tar.finished())
        let runs = try layer.entries().compactMap(\.content)
        #expect(
            runs.map(\.address) == [
                RegionAddress(slot: 0), RegionAddress(slot: 1), RegionAddress(slot: 4),
                RegionAddress(slot: 0, offset: 4096),
                RegionAddress(slot: 0, offset: 12288), RegionAddress(slot: 5),
            ])
        let lengths = (0..<layer.data.count).map { layer.data[$0]?.readableBytes }
        #expect(lengths == [12289, Self.slot, Self.slot, 100, Self.slot, Self.slot - 1])
    }

    /// `packing 1` must never change under its name: other builds' chunks would not be met again. The slots come from a
    /// Python program that follows docs/FORMAT.md.
    @Test func packsEndWhereTheyAlwaysDid() throws {
        var tar = TarBuilder()
        for number in 0..<20 {
            tar.file("a\(number)", [UInt8](repeating: UInt8(number), count: 70_001))
            tar.file("b\(number)", [UInt8](repeating: UInt8(number + 100), count: 13))
        }
        let layer = try expectRoundTrip(tar.finished())
        let slots = try layer.entries().compactMap { $0.content?.address.slot }
        #expect(
            slots == [
                0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 3, 3, 4, 5, 5, 5, 5,
                5, 5, 5, 5, 5,
            ])
    }

    @Test func compiledPythonIsPackedApart() throws {
        var tar = TarBuilder()
        tar.file("a.py", [1])
        tar.file("a.pyc", [2])
        tar.file("b.py", [3])
        tar.file("b.pyc", [4])
        let layer = try expectRoundTrip(tar.finished())
        let addresses = try layer.entries().compactMap(\.content?.address)
        #expect(
            addresses == [
                RegionAddress(slot: 0), RegionAddress(slot: 1), RegionAddress(slot: 0, offset: 4096),
                RegionAddress(slot: 1, offset: 4096),
            ])
    }

    @Test func aChangeStaysLocal() throws {
        var random = SeededGenerator(seed: 6)
        var files = (0..<1500).map { ("dir/file\($0)", random.bytes(Int.random(in: 1..<9000, using: &random))) }
        func split() throws -> Set<SHA256Digest> {
            var tar = TarBuilder()
            for (path, content) in files { tar.file(path, content) }
            return chunks(try SplitLayer(PieceSource(tar.finished())))
        }
        let before = try split()
        try #require(before.count > 30)
        // Skeleton and entry table are a chunk each here; the packs around the change are the rest.
        files[700].1[10] ^= 1
        let changed = try split()
        #expect(changed.subtracting(before).count <= 5)
        files[300].1 += random.bytes(5000)
        #expect(try split().subtracting(changed).count <= 6)
        files.remove(at: 900)
        files.insert(("dir/new", random.bytes(100)), at: 100)
        #expect(try split().subtracting(before).count <= 16)
    }

    @Test func equalFilesShareChunksWhereverTheyAre() throws {
        var random = SeededGenerator(seed: 7)
        let big = random.bytes(1_300_000)
        let package = (0..<200).map { ("lib/file\($0)", random.bytes(Int.random(in: 1..<9000, using: &random))) }
        func image(_ first: [UInt8], _ prefix: String) throws -> Set<SHA256Digest> {
            var tar = TarBuilder()
            tar.file("first", first)
            for (path, content) in package { tar.file(prefix + path, content) }
            tar.file(prefix + "big", big)
            return chunks(try SplitLayer(PieceSource(tar.finished())))
        }
        let one = try image(random.bytes(100), "")
        let two = try image(random.bytes(77_777), "usr/")
        #expect(Double(two.intersection(one).count) >= 0.6 * Double(two.count))
    }

    @Test func rawFilesAreCutEvery512KiB() throws {
        var random = SeededGenerator(seed: 8)
        for size in [0, 1, Self.slot - 1, Self.slot, Self.slot + 1, 3 * Self.slot + 5] {
            let bytes = random.bytes(size)
            let layer = try SplitLayer(PieceSource(bytes, piece: 100_001), kind: .file)
            #expect(layer.summary.slots == [(size + Self.slot - 1) / Self.slot, 0, 0])
            #expect(layer.summary.byteCount == UInt64(size))
            #expect(layer.summary.diffID == bytes.withUnsafeBytes { SHA256Digest(hashing: $0) })
            guard size > 0 else { continue }
            let isSame = try layer.read(DataRun(address: RegionAddress(slot: 0), length: UInt64(size))) == bytes
            #expect(isSame)
        }
    }
}
