internal import CacheCore

/// Where each byte of a device comes from: a value that is asked for pieces, by binary search and without I/O.
struct DeviceMap: Sendable {
    /// The chunks of a layer's data region, or of the metadata, which is the last region.
    struct Region: Sendable {
        let refs: [ChunkRef]
        /// The generation under which L3 has them.
        let generation: Generation
        /// The number of the first one among all chunks of the image.
        let first: Int
    }

    /// One chunk: a slot of a region.
    struct Place: Hashable, Sendable {
        let region: Int
        let slot: Int
    }

    /// What is at a place of the device, as far as it is of one sort or in one chunk.
    enum Piece: Equatable {
        case zeros(Int)
        /// Bytes of a chunk's plaintext.
        case chunk(Place, offset: Int, count: Int)

        var count: Int {
            switch self {
            case .zeros(let count), .chunk(_, _, let count): count
            }
        }
    }

    /// Bytes of the device that follow one another in a region, too.
    private struct Stretch {
        let start: UInt64
        let end: UInt64
        let address: UInt64
        let region: Int
    }

    let byteCount: UInt64
    let regions: [Region]
    /// Chunks of all regions.
    let chunkCount: Int
    private let stretches: [Stretch]

    private static let slotBytes = UInt64(ChunkLimits.plainBytes)
    /// Sums of two numbers up to here do not overflow.
    private static let maximum: UInt64 = 1 << 60

    /// - Parameter layers: the chunks of the layers' data regions, from the bottom up, and their generations.
    /// - Throws: `.corrupt` for a layout that is none of these layers'.
    init(_ layout: DeviceLayout, layers: [(refs: [ChunkRef], generation: Generation)]) throws(CacheError) {
        guard layout.byteCount % 4096 == 0, layout.byteCount <= Self.maximum else {
            throw Self.malformed("no device has \(layout.byteCount) bytes")
        }
        let capacity = UInt64(layout.metadata.count) * Self.slotBytes
        guard layout.metadataBytes <= min(capacity, layout.byteCount),
            capacity - layout.metadataBytes < Self.slotBytes
        else { throw Self.malformed("its metadata is not of \(layout.metadataBytes) bytes") }
        var regions: [Region] = []
        var first = 0
        for (refs, generation) in layers + [(layout.metadata, layout.generation)] {
            regions.append(Region(refs: refs, generation: generation, first: first))
            first += refs.count
        }
        var stretches: [Stretch] = []
        stretches.reserveCapacity(layout.extents.count + 1)
        if layout.metadataBytes > 0 {
            stretches.append(Stretch(start: 0, end: layout.metadataBytes, address: 0, region: layers.count))
        }
        for extent in layout.extents {
            let address = extent.address.rawValue
            guard extent.length > 0, max(extent.offset, extent.length, address) < Self.maximum,
                layers.indices.contains(extent.layer),
                address + extent.length <= UInt64(layers[extent.layer].refs.count) * Self.slotBytes
            else { throw Self.malformed("the extent at \(extent.offset) is not one of a layer's data") }
            guard extent.offset >= stretches.last?.end ?? 0, extent.offset + extent.length <= layout.byteCount else {
                throw Self.malformed("the extent at \(extent.offset) does not fit in")
            }
            stretches.append(
                Stretch(
                    start: extent.offset, end: extent.offset + extent.length, address: address, region: extent.layer))
        }
        byteCount = layout.byteCount
        self.regions = regions
        chunkCount = first
        self.stretches = stretches
    }

    private static func malformed(_ why: String) -> CacheError {
        CacheError(.corrupt, "the image's index is damaged, \(why): push the image again")
    }

    // MARK: Bytes

    /// The first stretch that does not end before `offset`: where ``piece(at:upTo:from:)`` begins.
    func firstStretch(at offset: UInt64) -> Int {
        var low = 0
        var high = stretches.count
        while low < high {
            let middle = (low + high) / 2
            if stretches[middle].end <= offset { low = middle + 1 } else { high = middle }
        }
        return low
    }

    /// What is at `offset`, which is less than `end`; nothing beyond `end`, which lies in the device.
    /// - Parameter stretch: where to begin; moves on, so that the next piece is found at once.
    func piece(at offset: UInt64, upTo end: UInt64, from stretch: inout Int) -> Piece {
        while stretch < stretches.count, stretches[stretch].end <= offset { stretch += 1 }
        guard stretch < stretches.count, stretches[stretch].start < end else { return .zeros(Int(end - offset)) }
        let found = stretches[stretch]
        guard found.start <= offset else { return .zeros(Int(found.start - offset)) }
        let address = RegionAddress(rawValue: found.address + (offset - found.start))
        let slot = Int(address.slot)
        let length = min(Int(min(end, found.end) - offset), ChunkLimits.plainBytes - address.offset)
        let ref = regions[found.region].refs[slot]
        let stored = ref.isZero ? 0 : Int(ref.plainLength)
        // Beyond the end of the stored chunk is the hole that pads it.
        guard address.offset < stored else { return .zeros(length) }
        return .chunk(
            Place(region: found.region, slot: slot), offset: address.offset,
            count: min(length, stored - address.offset))
    }

    /// The pieces of a range of the device.
    func pieces(at offset: UInt64, count: Int) -> [Piece] {
        var pieces: [Piece] = []
        var position = offset
        let end = offset + UInt64(count)
        var stretch = firstStretch(at: offset)
        while position < end {
            let piece = piece(at: position, upTo: end, from: &stretch)
            pieces.append(piece)
            position += UInt64(piece.count)
        }
        return pieces
    }

    /// Bytes of one sort from `offset` on, as far as a bounded search finds them: at least those up to the next chunk.
    func extent(at offset: UInt64) -> DeviceExtent {
        var stretch = firstStretch(at: offset)
        var position = offset
        var isZero: Bool?
        for _ in 0..<Self.mergedPieces where position < byteCount {
            let piece = piece(at: position, upTo: byteCount, from: &stretch)
            let isHole = if case .zeros = piece { true } else { false }
            guard isZero ?? isHole == isHole else { break }
            isZero = isHole
            position += UInt64(piece.count)
        }
        return DeviceExtent(count: position - offset, isZero: isZero ?? true)
    }

    /// Whether contents end in one of the device's places for a chunk, of 512 KiB each: it is not full. Regions lie at
    /// multiples of that, so that a place is one of a region.
    func endsContents(slot: UInt64) -> Bool {
        let last = (slot + 1) * Self.slotBytes - 1
        guard last < byteCount else { return true }
        var stretch = firstStretch(at: last)
        if case .zeros = piece(at: last, upTo: last + 1, from: &stretch) { return true }
        return false
    }

    /// 2 GiB of whole chunks; some 50 us.
    private static let mergedPieces = 4096

    // MARK: Chunks

    func ref(_ place: Place) -> ChunkRef { regions[place.region].refs[place.slot] }

    /// The number of a chunk among all of the image's.
    func number(of place: Place) -> Int { regions[place.region].first + place.slot }

    /// The chunk of a number below ``chunkCount``.
    func place(of number: Int) -> Place {
        // The last region that begins at or before it; empty ones begin where the next does.
        let region = (regions.lastIndex { $0.first <= number }) ?? 0
        return Place(region: region, slot: number - regions[region].first)
    }

    /// How many stretches there are; their chunks together are all that a reader of the device can touch.
    var stretchCount: Int { stretches.count }

    /// The chunks of a stretch, in the order of the device.
    func places(ofStretch index: Int) -> (region: Int, slots: Range<Int>) {
        let stretch = stretches[index]
        let first = Int(stretch.address / Self.slotBytes)
        let last = Int((stretch.address + (stretch.end - stretch.start) - 1) / Self.slotBytes)
        return (stretch.region, first..<last + 1)
    }
}
