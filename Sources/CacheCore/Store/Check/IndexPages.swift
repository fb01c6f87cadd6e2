/// The pages of a data file, and which of them the index has been found to use.
///
/// One value serves the walks of all trees of one check, so that a page of two trees is found.
struct IndexPages {
    let file: PageFile
    /// The pages that a walk has met.
    private(set) var used: PageSet

    /// - Parameter count: pages that the index may use, from page 0 on; free ones may lie beyond.
    init(_ file: PageFile, count: UInt64) {
        self.file = file
        used = PageSet(pages: count)
    }

    /// Notes that `count` pages from `first` on are in use; false if one of them is outside, or was in use before.
    mutating func use(_ first: UInt64, count: UInt64 = 1) -> Bool { used.add(first, count: count) }

    /// Asks the kernel to read a page soon, if there is such a page.
    func expect(_ number: UInt64) {
        if number < used.pages { file.expect(number) }
    }
}
