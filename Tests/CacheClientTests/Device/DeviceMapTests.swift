import CacheCore
import TestSupport
import Testing

@testable import CacheClient

/// Layouts come from L3: what does not fit the image is refused, with one line.
@Suite struct DeviceMapTests {
    private func refs(_ count: Int) -> [ChunkRef] {
        (0..<count).map { _ in .zero(plainLength: UInt32(ChunkLimits.plainBytes)) }
    }

    private func map(
        bytes: UInt64 = 16 << 20, metadataBytes: UInt64 = 4096, metadata: Int = 1, slots: [Int] = [4, 2],
        _ extents: [(UInt64, UInt64, Int, UInt64)]
    ) async throws -> DeviceMap {
        let generation = try #require(Generation(1))
        return try DeviceMap(
            DeviceLayout(
                byteCount: bytes, metadataBytes: metadataBytes, metadata: refs(metadata), generation: generation,
                extents: extents.map {
                    ErofsExtent(offset: $0, length: $1, layer: $2, address: RegionAddress(rawValue: $3))
                }),
            layers: slots.map { (refs(($0)), generation) })
    }

    @Test func whatFitsIsTaken() async throws {
        let map = try await map([(1 << 19, 4 << 19, 0, 0), (5 << 19, 1, 1, (2 << 19) - 1)])
        #expect(map.chunkCount == 7)
        #expect(map.stretchCount == 3)
        for number in 0..<7 { #expect(map.number(of: map.place(of: number)) == number) }
        #expect(map.extent(at: 0) == DeviceExtent(count: 16 << 20, isZero: true))
    }

    @Test func anythingElseIsRefused() async throws {
        let bad: [(String, () async throws -> DeviceMap)] = [
            ("odd size", { try await map(bytes: (16 << 20) + 1, []) }),
            ("huge", { try await map(bytes: 1 << 61, []) }),
            ("metadata longer than its chunks", { try await map(metadataBytes: 1 << 20, metadata: 1, []) }),
            ("a chunk too many", { try await map(metadataBytes: 4096, metadata: 2, []) }),
            ("metadata longer than the device", { try await map(bytes: 4096, metadataBytes: 8192, []) }),
            ("no such layer", { try await map([(1 << 19, 1, 2, 0)]) }),
            ("layer -1", { try await map([(1 << 19, 1, -1, 0)]) }),
            ("over the metadata", { try await map([(4095, 10, 0, 0)]) }),
            ("overlap", { try await map([(1 << 19, 4096, 0, 0), ((1 << 19) + 4095, 10, 0, 0)]) }),
            ("descending", { try await map([(1 << 20, 4096, 0, 0), (1 << 19, 10, 0, 0)]) }),
            ("empty", { try await map([(1 << 19, 0, 0, 0)]) }),
            ("beyond the region", { try await map([(1 << 19, 2, 1, (2 << 19) - 1)]) }),
            ("beyond the device", { try await map([((16 << 20) - 1, 2, 0, 0)]) }),
            ("overflow of the address", { try await map([(1 << 19, 2, 0, .max)]) }),
            ("overflow of the length", { try await map([(1 << 19, .max, 0, 0)]) }),
            ("overflow of the offset", { try await map([(.max, 1, 0, 0)]) }),
        ]
        for (what, make) in bad {
            let error = await cacheError { _ = try await make() }
            #expect(error?.code == .corrupt, "\(what)")
        }
    }
}
