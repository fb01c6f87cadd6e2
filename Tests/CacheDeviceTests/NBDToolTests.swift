import CacheDevice
import Foundation
import TestSupport
import Testing

/// Clients of others, which know the protocol from its specification and not from us.
@Suite struct NBDToolTests {
    private static let hasLibnbd = BuiltProgram.isInstalled("nbdinfo") && BuiltProgram.isInstalled("nbdcopy")
    private static let hasQemu = BuiltProgram.isInstalled("qemu-img")
    private static let holes: [Range<UInt64>] = [65536..<131_072, 4_194_304..<12_582_912]

    private struct Listing: Decodable {
        struct Export: Decodable {
            let name: String?
            let size: Int
            let isReadOnly: Bool
            let isRotational: Bool
            let canMultiConnect: Bool
            let canCache: Bool
            let canFragment: Bool
            let minimum: Int
            let preferred: Int
            let maximum: Int

            enum CodingKeys: String, CodingKey {
                case name = "export-name"
                case size = "export-size"
                case isReadOnly = "is_read_only"
                case isRotational = "is_rotational"
                case canMultiConnect = "can_multi_conn"
                case canCache = "can_cache"
                case canFragment = "can_df"
                case minimum = "block_size_minimum"
                case preferred = "block_size_preferred"
                case maximum = "block_size_maximum"
            }
        }
        let `protocol`: String
        let structured: Bool
        let exports: [Export]
    }

    private struct Extent: Decodable, Equatable {
        let offset: UInt64
        let length: UInt64
        let type: Int
    }

    @Test("nbdinfo sees the export, its sizes and flags", .enabled(if: hasLibnbd, "needs libnbd-bin"))
    func information() async throws {
        let sample = try SampleFile(16 << 20, holes: Self.holes)
        try await NBDTestServer.run(sample.device) { server in
            for arguments in [["--json", server.uri], ["--json", "--list", server.uri]] {
                let text = try await server.tool("nbdinfo", arguments)
                let listing = try JSONDecoder().decode(Listing.self, from: Data(text.utf8))
                #expect(listing.protocol == "newstyle-fixed")
                #expect(listing.structured)
                let export = try #require(listing.exports.first)
                #expect(listing.exports.count == 1)
                #expect(export.size == 16 << 20)
                #expect(export.isReadOnly && !export.isRotational)
                #expect(export.canMultiConnect && export.canCache && export.canFragment)
                #expect((export.minimum, export.preferred, export.maximum) == (1, 4096, 32 << 20))
                if arguments.contains("--list") { #expect(export.name == "acme/app:1") }
            }
            let named = try await server.tool(
                "nbdinfo", ["--size", "nbd+unix:///acme/app:1?socket=\(server.path)"])
            #expect(named == "\(16 << 20)\n")
            let foreign = try await ChildProcess(
                "nbdinfo", ["nbd+unix:///other?socket=\(server.path)"]
            ).wait()
            #expect(foreign.status == 1)
        }
    }

    @Test("the map of a device is its holes", .enabled(if: hasLibnbd, "needs libnbd-bin"))
    func map() async throws {
        let sample = try SampleFile(16 << 20, holes: Self.holes)
        try await NBDTestServer.run(sample.device) { server in
            let text = try await server.tool("nbdinfo", ["--map", "--json", server.uri])
            let extents = try JSONDecoder().decode([Extent].self, from: Data(text.utf8))
            #expect(
                extents == [
                    Extent(offset: 0, length: 65536, type: 0), Extent(offset: 65536, length: 65536, type: 3),
                    Extent(offset: 131_072, length: 4_063_232, type: 0),
                    Extent(offset: 4_194_304, length: 8_388_608, type: 3),
                    Extent(offset: 12_582_912, length: 4_194_304, type: 0),
                ])
        }
    }

    @Test(
        "nbdcopy copies every byte, over one connection and over four", .enabled(if: hasLibnbd, "needs libnbd-bin"),
        arguments: [1, 4], [false, true])
    func copy(connections: Int, isInMemory: Bool) async throws {
        let sample = try SampleFile(48 << 20, holes: Self.holes)
        var device = sample.device
        device.isInMemory = isInMemory
        try await NBDTestServer.run(device) { server in
            let copy = server.directory("copy")
            _ = try await server.tool("nbdcopy", ["--connections=\(connections)", server.uri, copy])
            #expect(try server.directory.bytes("copy") == sample.bytes, "seed \(sample.seed)")
        }
    }

    @Test("qemu-img compares and converts", .enabled(if: hasQemu, "needs qemu-utils"))
    func qemu() async throws {
        let sample = try SampleFile(24 << 20, holes: Self.holes)
        try await NBDTestServer.run(sample.device) { server in
            let image = "nbd:unix:\(server.path)"
            #expect(
                try await server.tool("qemu-img", ["compare", "-f", "raw", "-F", "raw", sample.path, image])
                    == "Images are identical.\n")
            let info = try await server.tool("qemu-img", ["info", "--output=json", "-f", "raw", image])
            let object = try #require(try JSONSerialization.jsonObject(with: Data(info.utf8)) as? [String: Any])
            #expect(object["virtual-size"] as? Int == 24 << 20)
            let copy = server.directory("copy")
            _ = try await server.tool("qemu-img", ["convert", "-f", "raw", "-O", "raw", image, copy])
            #expect(try server.directory.bytes("copy") == sample.bytes, "seed \(sample.seed)")
        }
    }
}
