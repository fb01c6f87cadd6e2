internal import CacheBase
internal import CacheChunks
internal import NIOCore

/// `packing 1` (``LayerManifest/packingVersion``): where contents go in the data region, and the chunks that come of
/// it.
///
/// A content of 512 KiB or more gets slots of its own. Smaller ones share a slot, each beginning at a 4 KiB block. Such
/// a pack ends after a content that says so itself (one in eight, by the hash of its first 4 KiB) once the pack holds
/// 64 KiB, or before one that does not fit: so where packs end depends on contents, not on positions, and a change
/// stays local. Packs stay open across big contents.
///
/// Compiled Python files have packs of their own: they hold the time of their source, so that two installations of one
/// package differ in all of them, and would spoil the packs of all that does not differ. It also keeps what a program
/// reads away from what it does not.
///
/// Memory: the open packs and one chunk of a big content.
package struct RegionPlacer {
    /// The version of the packing, as manifests keep it.
    package static let version: UInt16 = 1

    /// Which pack a small content goes to.
    enum Group: Int, CaseIterable {
        case general = 0
        /// Files whose path ends with `.pyc`.
        case compiledPython = 1

        init(path: [UInt8]) {
            self = path.suffix(4).elementsEqual(".pyc".utf8) ? .compiledPython : .general
        }
    }

    /// The chunk that smaller contents are being put into.
    private struct Pack {
        let slot: Int
        var bytes: ByteBuffer
    }

    private enum Content {
        case none
        case packed(Int, Group)
        case big(slot: Int, remaining: UInt64)
    }

    enum Progress {
        case more, finished
        /// The source ended too early.
        case truncated
    }

    private let buffers: BufferPool
    /// The open pack of each group.
    private var packs = [Pack?](repeating: nil, count: Group.allCases.count)
    private var content = Content.none
    /// Slots given away so far.
    private(set) var slots = 0

    private static let packEndBytes = 64 * 1024
    private static let packEndOdds: UInt64 = 8
    private static let hashedBytes = 4096

    init(buffers: BufferPool) { self.buffers = buffers }

    /// Gives the next content, of `length` bytes (not 0), its address. `fill` must then be called until it is finished.
    mutating func place(_ length: UInt64, _ group: Group, queue: inout ChunkQueue) -> DataRun {
        guard length < RegionAddress.slotBytes else {
            let slot = slots
            slots += Int((length + RegionAddress.slotBytes - 1) / RegionAddress.slotBytes)
            content = .big(slot: slot, remaining: length)
            return DataRun(address: RegionAddress(slot: UInt64(slot)), length: length)
        }
        let block = Int(RegionAddress.blockBytes)
        let used = packs[group.rawValue].map { ($0.bytes.readableBytes + block - 1) / block * block } ?? 0
        if used + Int(length) > ChunkLimits.plainBytes { closePack(group, queue: &queue) }
        var open = packs[group.rawValue].take() ?? newPack()
        open.bytes.writeRepeatingByte(0, count: (block - open.bytes.readableBytes % block) % block)
        let address = RegionAddress(slot: UInt64(open.slot), offset: open.bytes.readableBytes)
        packs[group.rawValue] = open
        content = .packed(Int(length), group)
        return DataRun(address: address, length: length)
    }

    /// Copies the next piece of the placed content from `input`: at most one chunk.
    mutating func fill(from input: SplitterInput, queue: inout ChunkQueue) throws -> Progress {
        switch content {
        case .none: return .finished
        case .packed(let length, let group):
            content = .none
            guard var open = packs[group.rawValue].take() else {
                preconditionFailure("content was placed without a pack")
            }
            let begin = open.bytes.writerIndex
            guard try open.bytes.write(length, from: input) else { return .truncated }
            let ends = open.bytes.readableBytes >= Self.packEndBytes && Self.endsPack(open.bytes, from: begin)
            packs[group.rawValue] = open
            if ends { closePack(group, queue: &queue) }
            return .finished
        case .big(let slot, let remaining):
            let count = Int(min(remaining, RegionAddress.slotBytes))
            var bytes = buffers.take()
            guard try bytes.write(count, from: input) else { return .truncated }
            queue.append(.data, slot, bytes)
            let rest = remaining - UInt64(count)
            content = rest == 0 ? .none : .big(slot: slot + 1, remaining: rest)
            return rest == 0 ? .finished : .more
        }
    }

    /// Takes up to one chunk of a content of unknown length; returns whether there was any.
    mutating func fillSlot(from input: SplitterInput, queue: inout ChunkQueue) throws -> Bool {
        var bytes = buffers.take()
        _ = try bytes.write(ChunkLimits.plainBytes, from: input)
        guard bytes.readableBytes > 0 else { return false }
        queue.append(.data, slots, bytes)
        slots += 1
        return true
    }

    /// Hands over the open packs.
    mutating func finish(queue: inout ChunkQueue) {
        for group in Group.allCases { closePack(group, queue: &queue) }
    }

    private mutating func closePack(_ group: Group, queue: inout ChunkQueue) {
        guard let open = packs[group.rawValue].take() else { return }
        queue.append(.data, open.slot, open.bytes)
    }

    private mutating func newPack() -> Pack {
        defer { slots += 1 }
        return Pack(slot: slots, bytes: buffers.take())
    }

    /// Whether the content from `begin` to the end of `bytes` ends its pack.
    private static func endsPack(_ bytes: ByteBuffer, from begin: Int) -> Bool {
        let hash = bytes.withUnsafeReadableBytes { all in
            placementHash(UnsafeRawBufferPointer(rebasing: all[begin..<min(begin + hashedBytes, all.count)]))
        }
        return hash % packEndOdds == 0
    }

    /// A plain 64-bit hash, eight bytes at a time in little-endian order, the last ones filled up with zeros.
    static func placementHash(_ bytes: UnsafeRawBufferPointer) -> UInt64 {
        var hash: UInt64 = 0x9E37_79B9_7F4A_7C15
        func mix(_ word: UInt64) {
            hash = (hash ^ word) &* 0xFF51_AFD7_ED55_8CCD
            hash ^= hash >> 32
        }
        var position = 0
        while position + 8 <= bytes.count {
            mix(UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: position, as: UInt64.self)))
            position += 8
        }
        if position < bytes.count {
            var last: UInt64 = 0
            withUnsafeMutableBytes(of: &last) {
                $0.copyMemory(from: UnsafeRawBufferPointer(rebasing: bytes[position...]))
            }
            mix(UInt64(littleEndian: last))
        }
        return hash
    }
}

extension ByteBuffer {
    /// Appends `count` bytes of `input`; `false` if it ended before.
    fileprivate mutating func write(_ count: Int, from input: SplitterInput) throws -> Bool {
        try writeWithUnsafeMutableBytes(minimumWritableBytes: count) { free in
            try input.read(into: UnsafeMutableRawBufferPointer(rebasing: free[..<count]))
        } == count
    }
}
