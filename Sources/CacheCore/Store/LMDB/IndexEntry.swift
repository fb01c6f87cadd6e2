/// A leaf entry as the walk found it; the bytes are valid until the visitor returns.
struct IndexEntry {
    static let bigData = 0x01
    static let subData = 0x02

    let key: UnsafeRawBufferPointer
    let flags: Int
    /// The value's size, wherever it lies.
    let size: Int
    /// The value if it lies in the leaf.
    let value: UnsafeRawBufferPointer
    /// The first page of the value if it has pages of its own.
    let page: UInt64
    /// How many pages those are.
    var pages: UInt64 {
        UInt64((StoreLayout.overflowHeaderBytes - 1 + size) / StoreLayout.pageBytes + 1)
    }
}
