/// A set of page numbers below a bound: one bit a page.
struct PageSet {
    private var words: [UInt64]
    let pages: UInt64

    init(pages: UInt64) {
        self.pages = pages
        words = Array(repeating: 0, count: Int(truncatingIfNeeded: pages / 64 + 1))
    }

    /// Adds `count` pages from `first`; false if one of them is outside or in the set already.
    mutating func add(_ first: UInt64, count: UInt64 = 1) -> Bool {
        guard first < pages, count <= pages - first else { return false }
        for page in first..<first + count {
            let bit = UInt64(1) << (page & 63)
            let word = Int(truncatingIfNeeded: page >> 6)
            if words[word] & bit != 0 { return false }
            words[word] |= bit
        }
        return true
    }

    func isDisjoint(with other: PageSet) -> Bool {
        zip(words, other.words).allSatisfy { $0 & $1 == 0 }
    }
}
