import CacheCore
import TestSupport
import Testing

/// What an image cannot have: errors, and what is left out.
@Suite struct ErofsRefusalTests {
    private func expect(
        _ code: CacheError.Code, _ message: String, _ entries: [LayerEntry], slots: [Int] = [1],
        sourceLocation: SourceLocation = #_sourceLocation
    ) {
        let error = #expect(throws: CacheError.self, sourceLocation: sourceLocation) {
            try ErofsWriter(tree: tree([entries]), regionSlots: slots)
        }
        #expect(error?.code == code, sourceLocation: sourceLocation)
        #expect(
            error?.message.contains(message) == true, "\(String(describing: error))", sourceLocation: sourceLocation)
    }

    private func file(_ name: String, _ run: DataRun?, size: UInt64, segments: [LayerEntry.Segment]? = nil)
        -> LayerEntry
    {
        var entry = LayerEntry(name)
        (entry.content, entry.size, entry.segments) = (run, size, segments)
        return entry
    }

    @Test func bytesThatAFileCannotHave() {
        let run = DataRun(address: RegionAddress(slot: 0), length: 100)
        expect(.corrupt, "bytes that it cannot have", [file("a", run, size: 100)], slots: [0])
        expect(.corrupt, "bytes that it cannot have", [file("a", run, size: 100)], slots: [])
        expect(.corrupt, "bytes that it cannot have", [file("a", run, size: 100), file("b", run, size: 100)])
        expect(.corrupt, "'a' bytes that it cannot have", [file("a", run, size: 99)])
        expect(.corrupt, "'a' bytes that it cannot have", [file("a", nil, size: 1)])
        let odd = DataRun(address: RegionAddress(slot: 0, offset: 1), length: 100)
        expect(.corrupt, "'a' bytes that it cannot have", [file("a", odd, size: 100)])
        let segment = LayerEntry.Segment(offset: 50, length: 50)
        let far = LayerEntry.Segment(offset: 150, length: 50)
        expect(.corrupt, "'s' bytes", [file("s", run, size: 120, segments: [segment, far])])
        expect(.corrupt, "'s' bytes", [file("s", run, size: 300, segments: [far, segment])])
        expect(.corrupt, "'s' bytes", [file("s", run, size: 300, segments: [segment, segment])])
    }

    @Test func aDeviceThatIsTooLarge() throws {
        expect(.limitExceeded, "more than 16 TiB", [], slots: [1 << 25])
        expect(.limitExceeded, "more than 16 TiB", [], slots: [1 << 24, 1 << 24])
        expect(.limitExceeded, "more than 16 TiB", [], slots: [.max])
        expect(.limitExceeded, "more than 16 TiB", [], slots: [-1])
        let most = try ErofsWriter(tree: tree([]), regionSlots: [1 << 25 - 2])
        #expect(most.deviceBytes == 1 << 44 - 1 << 19)
        let run = DataRun(address: RegionAddress(slot: 0), length: 100)
        expect(.limitExceeded, "more than 16 TiB", [file("a", run, size: 100)], slots: [-1])
        // Each in chunks of its own, far from one another.
        let entries = (0..<300).map { number in
            file(
                "s\(number)", DataRun(address: RegionAddress(slot: UInt64(number)), length: 2), size: 1 << 56,
                segments: [LayerEntry.Segment(offset: 1 << 55, length: 2)])
        }
        expect(.limitExceeded, "more than 16 TiB", entries, slots: [300])
    }

    // MARK: Attributes

    private static let capability: [UInt8] = [1, 0, 0, 2] + [UInt8](repeating: 4, count: 16)

    private static func list(_ entries: [(tag: UInt8, permissions: UInt8, id: UInt8)]) -> [UInt8] {
        [2, 0, 0, 0] + entries.flatMap { [$0.tag, 0, $0.permissions, 0, $0.id, 0, 0, 0] }
    }

    private static let named = list([(1, 7, 0), (2, 5, 9), (4, 1, 0), (16, 7, 0), (32, 2, 0)])

    private func attributes(
        _ kind: LayerEntry.Kind, _ list: [(name: String, value: [UInt8])]
    ) throws -> (kept: [(prefix: UInt8, suffix: [UInt8], value: [UInt8])], omissions: [String]) {
        var entry = LayerEntry(path: Array("x".utf8), kind: kind)
        entry.permissions.mode = 0o640
        if kind == .symbolicLink { entry.linkTarget = [0x61] }
        entry.xattrs = list.map { LayerEntry.ExtendedAttribute(name: Array($0.name.utf8), value: $0.value) }
        let writer = try ErofsWriter(tree: tree([[entry]]), regionSlots: [0])
        let reader = ErofsReader(bytes: try writer.metadata())
        return (try reader.attributes(reader.find("x")), writer.omissions)
    }

    @Test func whatIsKept() throws {
        let long = [UInt8](repeating: 7, count: 65_535)
        let found = try attributes(
            .file,
            [
                ("user.a", [1]), ("trusted.b", []), ("security.selinux", [2, 3]),
                ("security.capability", Self.capability),
                ("user.long", long), ("user." + String(repeating: "n", count: 250), [4]), ("user.a", [5, 6]),
                ("system.posix_acl_access", Self.named),
            ])
        #expect(found.omissions == [])
        #expect(found.kept.map(\.prefix) == [4, 6, 6, 1, 1, 1, 2])
        #expect(found.kept.map(\.value.count) == [0, 2, 20, 65_535, 1, 2, 44])
        #expect(found.kept.map(\.suffix.count) == [1, 7, 10, 4, 250, 1, 0])
        #expect(found.kept[5].value == [5, 6])
        // The mode is set after the list, and has the last word.
        #expect(found.kept[6].value == Self.list([(1, 6, 0), (2, 5, 9), (4, 1, 0), (16, 4, 0), (32, 0, 0)]))
    }

    @Test func whatLinuxWouldNotTake() throws {
        typealias Case = (LayerEntry.Kind, String, [UInt8], String)
        let cut = Array(Self.named.dropLast(8))
        let long = [UInt8](repeating: 0, count: 65_536)
        var cases: [Case] = []
        cases.append((.file, "com.apple.provenance", [1], "names that Linux keeps on no disk"))
        cases.append((.file, "user.", [1], "names that Linux keeps on no disk"))
        cases.append((.file, "system.other", [1], "names that Linux keeps on no disk"))
        cases.append((.file, "trusted.overlay.opaque", [0x79], "those of overlayfs"))
        cases.append((.symbolicLink, "user.a", [1], "belong to what can have none"))
        cases.append((.fifo, "user.a", [1], "belong to what can have none"))
        cases.append((.symbolicLink, "system.posix_acl_access", Self.named, "belong to what can have none"))
        cases.append((.file, "system.posix_acl_default", Self.named, "belong to what can have none"))
        cases.append((.file, "security.capability", [1, 2, 3], "values that Linux refuses"))
        cases.append((.file, "system.posix_acl_access", [1, 0, 0, 0], "values that Linux refuses"))
        cases.append((.file, "system.posix_acl_access", cut, "values that Linux refuses"))
        cases.append((.file, "user.long", long, "too long"))
        for (kind, name, value, reason) in cases {
            let found = try attributes(kind, [(name, value)])
            #expect(found.kept.isEmpty, "\(name)")
            #expect(found.omissions.count == 1)
            let line = try #require(found.omissions.first)
            #expect(line.contains(reason) && line.hasSuffix("as for \(name) of 'x'"), "\(line)")
        }
        // A list that says what the mode says is no attribute on any filesystem.
        let needless = try attributes(
            .file, [("system.posix_acl_access", Self.list([(1, 7, 0), (4, 1, 0), (32, 2, 0)]))])
        #expect(needless.kept.isEmpty && needless.omissions.isEmpty)
    }

    @Test func moreAttributesThanThereIsRoomFor() throws {
        let value = [UInt8](repeating: 7, count: 60_000)
        let found = try attributes(.file, (0..<6).map { ("user.\($0)", value) })
        #expect(found.kept.count == 4)
        #expect(
            found.omissions == [
                "2 extended attributes are too long for an image's metadata and were left out: as for user.4 of 'x'"
            ])
    }

    @Test func devicesThatLinuxDoesNotHave() throws {
        var device = LayerEntry(path: Array("d/device".utf8), kind: .characterDevice)
        (device.deviceMajor, device.deviceMinor) = (4096, 1)
        let writer = try ErofsWriter(tree: tree([[device, LayerEntry("d/x")]]), regionSlots: [0])
        let reader = ErofsReader(bytes: try writer.metadata())
        #expect(try reader.entries(reader.find("d")).map(\.name) == [[0x2E], [0x2E, 0x2E], [0x78]])
        #expect(reader.inodeCount == 3)
        #expect(
            writer.omissions == [
                "1 device nodes have numbers that Linux does not have and were left out: as for 'd/device', 4096:1"
            ])
    }
}
