import CacheCore
import Foundation
import NIOCore
import TestSupport
import Testing

@testable import CacheClient

/// Devices over what a ``ClientFixture`` pushes, with the bytes that they must have.
extension ClientFixture {
    /// An image of two layers' worth of odd stretches: what a layout may ask for, and its bytes.
    ///
    /// The metadata is a raw file of its own, pushed as `acme/metadata:1`.
    struct Assembled {
        let image: CachedImage
        let layout: DeviceLayout
        let bytes: [UInt8]
    }

    func assembled(_ cache: LayerCache) async throws -> Assembled {
        let metadata = try await cache.image(try ImageReference(parsing: "acme/metadata:1"), keyring: keyring)
        let image = try await image(cache)
        let first = try #require(metadata.layers.first)
        let layer = try #require(image.layers.first)
        var bytes = try await first.collect()
        var region = ByteBuffer()
        let slots = layer.manifest.data.count
        try await layer.read(
            at: RegionAddress(rawValue: 0), count: slots * ChunkLimits.plainBytes, into: &region)
        let regionBytes = Array(region.readableBytesView)
        let metadataBytes = UInt64(bytes.count)
        let base = (metadataBytes + 0x7FFFF) / 0x80000 * 0x80000
        let size = base + UInt64(regionBytes.count) + (4 << 20)
        bytes += [UInt8](repeating: 0, count: Int(size) - bytes.count)
        var extents: [ErofsExtent] = []
        func add(_ offset: UInt64, _ length: UInt64, _ address: UInt64) {
            extents.append(
                ErofsExtent(offset: offset, length: length, layer: 0, address: RegionAddress(rawValue: address)))
            let source = regionBytes[Int(address)..<Int(address + length)]
            bytes.replaceSubrange(Int(offset)..<Int(offset + length), with: source)
        }
        add(base, UInt64(regionBytes.count), 0)
        // Stretches of sparse files: any bytes at any place, back to back, and the same bytes twice.
        var place = base + UInt64(regionBytes.count) + 4096
        for index in UInt64(0)..<100 {
            let length = 1 + index * 131 % 9000
            add(place, length, (index * 77_777) % (UInt64(regionBytes.count) - length))
            place += length + (index % 3 == 0 ? 0 : index * 57 % 5000)
        }
        return Assembled(
            image: image,
            layout: DeviceLayout(
                byteCount: size, metadataBytes: metadataBytes, metadata: first.manifest.data,
                generation: first.manifest.generation, extents: extents),
            bytes: bytes)
    }

    /// Pushes what ``assembled(_:)`` needs.
    func pushForDevice() async throws {
        let content = bytes(3_000_000)
        try Data(content[0..<(1 << 20 | 4096)]).write(to: URL(fileURLWithPath: self("metadata")))
        _ = try await ImagePusher(
            store: store, tenant: try keyring.keys(for: try reference.tenant),
            deployment: try keyring.requireDeploymentKey(), options: PushOptions()
        ).push(try ImageSource.open(.file(self("metadata"))), as: try ImageReference(parsing: "acme/metadata:1"))
        let tree = URL(fileURLWithPath: self("tree"))
        try FileManager.default.createDirectory(at: tree, withIntermediateDirectories: true)
        try Data(content[..<1_500_000]).write(to: tree.appendingPathComponent("big"))
        try Data(content[1_500_000..<1_700_000]).write(to: tree.appendingPathComponent("middle"))
        try Data(count: 1_200_000).write(to: tree.appendingPathComponent("zeros"))
        for index in 0..<20 {
            try Data(content[(index * 100_000)...].prefix(1 + index * 701))
                .write(to: tree.appendingPathComponent("small\(index)"))
        }
        try await push(.directory(tree.path))
    }

    /// A device of raw bytes that were pushed with ``push(_:repair:)``.
    func device(_ cache: LayerCache, _ options: DeviceOptions = .quiet) async throws -> ImageDevice {
        try await cache.device(of: try await image(cache), options)
    }
}

extension DeviceOptions {
    /// Nothing happens beside the reads.
    static var quiet: DeviceOptions { DeviceOptions(prefetch: .none, records: false) }
}

extension [ByteBuffer] {
    var bytes: [UInt8] { flatMap { [UInt8]($0.readableBytesView) } }
}

extension ImageDevice {
    /// The chunks that `count` bytes at `offset` come to.
    func bytes(_ offset: Int, _ count: Int) async throws -> [UInt8] {
        try await read(at: UInt64(offset), count: count).bytes
    }
}
