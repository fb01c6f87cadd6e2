import TestSupport

/// Where damage hurts: most of a store is chunks, so pages that LMDB reads itself are chosen far more often than their
/// share.
struct Places {
    private static let page = 4096

    private let pages: Int
    /// Meta, branch and leaf pages, and free ones that were such.
    private let index: [Int]
    /// First pages of extents.
    private let heads: [Int]

    init(_ bytes: [UInt8]) {
        pages = bytes.count / Self.page
        var index: [Int] = []
        var heads: [Int] = []
        for number in 0..<pages where bytes[number * Self.page + 11] == 0 {
            switch bytes[number * Self.page + 10] {
            case 1, 2, 8: index.append(number)
            case 4: heads.append(number)
            default: break
            }
        }
        self.index = index
        self.heads = heads
    }

    /// Does one kind of damage to one page.
    func damage(_ bytes: inout [UInt8], _ generator: inout SeededGenerator) {
        let start = choose(&generator) * Self.page
        let anywhere = start + Int.random(in: 0..<Self.page, using: &generator)
        switch Int.random(in: 0..<9, using: &generator) {
        case 0, 1: bytes[anywhere] ^= 1 << UInt8.random(in: 0..<8, using: &generator)
        case 2:
            // The head of a page, and where its nodes are.
            let offset = Int.random(in: 0..<64, using: &generator)
            bytes[start + offset] = UInt8.random(in: 0...255, using: &generator)
        case 3, 4, 5:
            // One field: a plausible number, or an extreme one.
            let values: [UInt16] = [0, 1, 2, 3, 8, 16, 0x7FFF, 0xFFFF, .random(in: 0...64, using: &generator)]
            let value = values.randomElement(using: &generator) ?? 0
            bytes[anywhere & ~1] = UInt8(truncatingIfNeeded: value)
            bytes[anywhere | 1] = UInt8(truncatingIfNeeded: value >> 8)
        case 6:
            for offset in start..<start + Self.page { bytes[offset] = 0 }
        case 7:
            let other = choose(&generator) * Self.page
            for offset in 0..<Self.page { bytes.swapAt(start + offset, other + offset) }
        default:
            // Another page's content that claims to be at home here.
            let other = choose(&generator) * Self.page
            for offset in 8..<Self.page { bytes[start + offset] = bytes[other + offset] }
        }
    }

    private func choose(_ generator: inout SeededGenerator) -> Int {
        switch Int.random(in: 0..<8, using: &generator) {
        case 0: Int.random(in: 0..<pages, using: &generator)
        case 1: heads.randomElement(using: &generator) ?? 0
        default: index.randomElement(using: &generator) ?? 0
        }
    }
}
