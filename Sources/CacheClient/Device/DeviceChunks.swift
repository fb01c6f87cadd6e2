internal import CacheCore
internal import NIOCore

/// The chunks of one device, out of the nearest tier.
struct DeviceChunks: Sendable {
    let map: DeviceMap
    let reader: TieredReader
    let counter: ReadCounter
    let landed: LandedChunks
    let recent = RecentChunks()
    /// See ``DeviceLayout/remake``.
    let remake: (@Sendable (Int) async throws -> ByteBuffer)?

    func request(_ place: DeviceMap.Place, use: ChunkUse = .kept, isAhead: Bool = false) -> ChunkRequest {
        let region = map.regions[place.region]
        return ChunkRequest(
            ref: region.refs[place.slot], generation: region.generation, counter: counter, use: use, isAhead: isAhead)
    }

    /// The plaintext if it is in memory; counts nothing as delivered.
    func inMemory(_ place: DeviceMap.Place) -> ByteBuffer? {
        let ref = map.ref(place)
        return reader.inMemory(ref, isRepeated: recent.isRepeated(map.number(of: place))) ?? landed.get(ref)
    }

    /// Whether the chunk is in memory, or on its way; counts nothing.
    func isNear(_ place: DeviceMap.Place) -> Bool {
        let request = request(place)
        return reader.memory.contains(request.ref) || landed.get(request.ref) != nil
            || reader.flights.all.isUnderWay(request.key)
    }

    /// The plaintext, for a reader that waits for it, out of L1. Blocks.
    /// - Returns: as ``TieredReader/fromL1AtOnce(_:)``.
    func fromL1AtOnce(_ place: DeviceMap.Place, _ use: ChunkUse) -> ByteBuffer? {
        let request = request(place, use: use)
        guard let bytes = reader.fromL1AtOnce(request) else { return nil }
        // Another read has the rest of it.
        if use == .passing { landed.add(request.ref, bytes) }
        return bytes
    }

    /// The plaintext, for a reader that waits for it: it stays in memory if it is to be kept.
    /// - Throws: as ``TieredReader/chunk(_:)``.
    func chunk(_ place: DeviceMap.Place, _ use: ChunkUse) async throws -> ByteBuffer {
        let request = request(place, use: use)
        let bytes: ByteBuffer
        do { bytes = try await reader.chunk(request) } catch let error as CacheError {
            // Only the metadata can be made anew, and only this host has it then.
            guard let remake, place.region == map.regions.count - 1 else { throw error }
            bytes = try await remake(place.slot)
            guard bytes.readableBytes == Int(request.ref.plainLength) else { throw error }
        }
        if use == .passing {
            landed.add(request.ref, bytes)
            return bytes
        }
        // What was on its way for a reader that did not want to keep it.
        if !reader.memory.contains(request.ref) { reader.memory.insert(request.ref, bytes) }
        return bytes
    }
}
