import CacheCore
import Foundation
import TestSupport
import Testing

/// The bytes of an image, read back by a reader of the tests' own.
@Suite struct ErofsWriterTests {
    private func writer(_ entries: [LayerEntry], slots: [Int] = [64]) throws -> ErofsWriter {
        try ErofsWriter(tree: tree([entries]), regionSlots: slots)
    }

    private func read(_ entries: [LayerEntry]) throws -> ErofsReader {
        ErofsReader(bytes: try writer(entries).metadata())
    }

    @Test func anEmptyImage() throws {
        let writer = try ErofsWriter(tree: tree([]), regionSlots: [])
        let reader = ErofsReader(bytes: try writer.metadata())
        let root = try reader.inode(reader.root)
        #expect(root.mode == 0o040755)
        #expect(root.links == 2)
        #expect(try reader.entries(root).map(\.name) == [[0x2E], [0x2E, 0x2E]])
        #expect(reader.inodeCount == 1)
        #expect(writer.extents.isEmpty)
        #expect(writer.deviceBytes.isMultiple(of: 4096))
        #expect(UInt64(reader.blocks) * 4096 == writer.deviceBytes)
    }

    @Test func theSameBytesWhateverTheBuffer() throws {
        let entries =
            (0..<300).map { LayerEntry("d\($0 % 7)/name\($0)") } + [
                LayerEntry("l -> \(String(repeating: "t", count: 4095))")
            ]
        let writer = try writer(entries)
        let whole = try writer.metadata(piece: 1 << 20)
        for piece in [1, 31, 4095, 4096, 4097] { #expect(try writer.metadata(piece: piece) == whole) }
        #expect(try self.writer(entries).metadata() == whole)
        // The identifier is made of what the image is.
        let other = try read(entries + [LayerEntry("one more")])
        #expect(ErofsReader(bytes: whole).identifier != other.identifier)
    }

    @Test func dotsAreAmongTheNames() throws {
        let names = ["!", "+x", "-", ".", "..", ".-", "..!", "...", ".a", "0", "a"]
        let reader = try read(names.filter { $0 != "." && $0 != ".." }.map { LayerEntry("d/" + $0, mode: 1) })
        let directory = try reader.find("d")
        let entries = try reader.entries(directory)
        let sorted = names.map { Array($0.utf8) }.sorted { $0.lexicographicallyPrecedes($1) }
        #expect(entries.map(\.name) == sorted)
        let own = try #require(entries.first { $0.name == [0x2E] })
        let parent = try #require(entries.first { $0.name == [0x2E, 0x2E] })
        #expect(own.slot == directory.slot)
        #expect(parent.slot == reader.root)
    }

    /// Every number of entries around the places where a directory leaves its inode's block, and needs one more block.
    @Test(arguments: [1, 30, 60, 150, 255]) func directoriesOfEverySize(_ length: Int) throws {
        let most = 2 * 4096 / (12 + length) + 3
        for count in Set([0, 1, most / 4, most / 2 - 3, most / 2 - 2, most / 2 - 1, most / 2, most - 2, most - 1, most])
        where count >= 0 {
            let names = (0..<count).map { number in
                let digits = length == 1 ? String(UnicodeScalar(UInt8(0x41 + number % 26))) : "\(number)"
                return String(repeating: "x", count: max(length - digits.count, 0)) + digits
            }
            let distinct = Set(names).sorted()
            let reader = try read(distinct.map { LayerEntry("directory/" + $0) } + [LayerEntry("directory/")])
            let entries = try reader.entries(reader.find("directory"))
            #expect(entries.map { String(decoding: $0.name, as: UTF8.self) } == [".", ".."] + distinct)
        }
    }

    @Test func inodesSayWhatTheEntrySays() throws {
        var old = LayerEntry("old", mode: 0o6755, mtime: -2)
        old.modificationTime.nanoseconds = 999_999_999
        old.permissions.uid = 1 << 31
        old.permissions.gid = 70_000
        var device = LayerEntry(path: Array("device".utf8), kind: .blockDevice)
        (device.deviceMajor, device.deviceMinor) = (4095, 1_048_575)
        let reader = try read([
            old, LayerEntry("again = old"), device, LayerEntry("a/b/"), LayerEntry("a/c/"), LayerEntry("p |"),
        ])
        let inode = try reader.find("old")
        #expect((inode.seconds, inode.nanoseconds) == (-2, 999_999_999))
        #expect((inode.uid, inode.gid, inode.mode) == (1 << 31, 70_000, 0o106755))
        #expect(inode.links == 2)
        #expect(try reader.find("again").slot == inode.slot)
        #expect(try reader.find("device").place == 0xFFFF_FFFF)
        #expect(try reader.find("device").mode == 0o060000)
        #expect(try reader.find("a").links == 4)
        #expect(try reader.find("p").mode == 0o010644)
        #expect(reader.inodeCount == 7)
    }

    @Test func linksOfEveryLength() throws {
        let lengths = [1, 59, 60, 61, 2000, 4000, 4031, 4032, 4033, 4095]
        let entries = lengths.map { LayerEntry("link\($0) -> \(String(repeating: "t", count: $0))") }
        let reader = try read(entries)
        for length in lengths {
            let link = try reader.find("link\(length)")
            #expect(link.size == UInt64(length))
            #expect(link.mode == 0o120777)
            #expect(try reader.content(link) == [UInt8](repeating: UInt8(ascii: "t"), count: length))
        }
    }

    // MARK: What the device maps

    @Test func filesLieWhereTheirLayersAre() throws {
        var first = LayerEntry("first")
        first.size = 10
        first.content = DataRun(address: RegionAddress(slot: 2, offset: 8192), length: 10)
        var second = LayerEntry("second")
        second.size = 1 << 20
        second.content = DataRun(address: RegionAddress(slot: 1), length: 1 << 20)
        let writer = try ErofsWriter(tree: tree([[first], [], [second]]), regionSlots: [3, 0, 4])
        let start = (writer.metadataBytes + 524_287) / 524_288 * 524_288
        #expect(
            writer.extents == [
                ErofsExtent(offset: start, length: 3 << 19, layer: 0, address: RegionAddress(slot: 0)),
                ErofsExtent(offset: start + 3 << 19, length: 4 << 19, layer: 2, address: RegionAddress(slot: 0)),
            ])
        #expect(writer.deviceBytes == start + 7 << 19)
        let reader = ErofsReader(bytes: try writer.metadata())
        #expect(try UInt64(reader.find("first").place) * 4096 == start + 2 << 19 + 8192)
        #expect(try UInt64(reader.find("second").place) * 4096 == start + 4 << 19)
        #expect(reader.incompatibleFeatures == 0)
    }

    /// What is read of a sparse file by its chunks and the extents is what is stored, and zeros between.
    @Test func sparseFilesAreMappedByteByByte() throws {
        var random = SeededGenerator()
        for _ in 0..<40 {
            var file = LayerEntry("s")
            var (end, stored) = (UInt64(0), UInt64(0))
            var segments: [LayerEntry.Segment] = []
            for _ in 0..<Int.random(in: 0...6, using: &random) {
                let gap = UInt64.random(
                    in: 0...[0, 5000, 1 << 20, 1 << 33][Int.random(in: 0...3, using: &random)], using: &random)
                let length = UInt64.random(
                    in: 1...[1, 600, 4096, 100_000][Int.random(in: 0...3, using: &random)], using: &random)
                segments.append(LayerEntry.Segment(offset: end + gap, length: length))
                end += gap + length
                stored += length
            }
            file.size = end + UInt64.random(in: 0...(1 << 34), using: &random)
            file.segments = segments
            file.content = stored > 0 ? DataRun(address: RegionAddress(slot: 3), length: stored) : nil
            let writer = try writer([file])
            let reader = ErofsReader(bytes: try writer.metadata())
            let inode = try reader.find("s")
            #expect(inode.size == file.size)
            guard file.size > 0 else { continue }
            let (bits, blocks) = try reader.chunks(inode)
            /// The stored byte that the device has at a place of the file; `nil` for a zero.
            func source(_ offset: UInt64) -> UInt64? {
                let block = blocks[Int(offset >> UInt64(bits))]
                if block == UInt32.max { return nil }
                let place = UInt64(block) * 4096 + offset & (1 << UInt64(bits) - 1)
                #expect(place < writer.deviceBytes)
                let extent = writer.extents.first { $0.offset <= place && place < $0.offset + $0.length }
                return extent.map { $0.address.rawValue + place - $0.offset - RegionAddress(slot: 3).rawValue }
            }
            stored = 0
            for segment in segments {
                for inner in Set([0, 1, segment.length / 2, segment.length - 1]) where inner < segment.length {
                    #expect(source(segment.offset + inner) == stored + inner, "seed \(random.seed)")
                }
                stored += segment.length
                let behind = segment.offset + segment.length
                if behind < file.size, !segments.contains(where: { $0.offset == behind }) {
                    #expect(source(behind) == nil, "seed \(random.seed)")
                }
            }
            #expect(
                source(file.size - 1) == (segments.last.map { $0.offset + $0.length } == file.size ? stored - 1 : nil))
            for (one, next) in zip(writer.extents, writer.extents.dropFirst()) {
                #expect(one.offset + one.length <= next.offset)
            }
        }
    }

    @Test func theLargestSparseFile() throws {
        var file = LayerEntry("s")
        file.size = UInt64(Int64.max)
        file.segments = [
            LayerEntry.Segment(offset: 1 << 40, length: 4096), LayerEntry.Segment(offset: file.size - 100, length: 100),
        ]
        file.content = DataRun(address: RegionAddress(slot: 0), length: 4196)
        let writer = try writer([file])
        #expect(writer.metadataBytes <= 128 << 20)
        #expect(writer.deviceBytes < 4 << 40)
        #expect(writer.extents.count == 3)
        file.segments = []
        file.content = nil
        #expect(try self.writer([file]).metadataBytes <= 5 << 20)
    }
}
