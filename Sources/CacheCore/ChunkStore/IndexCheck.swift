/// The index pages of a store, checked before LMDB sees them.
struct IndexDamage: Error { let reason: String }
enum IndexCheck {
    static func run(_ descriptor: Int32, layout: StoreLayout, mapBytes: UInt64) throws(IndexDamage) {}
}
