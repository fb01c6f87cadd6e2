/// What the writer and the reader of an entry table share.
///
/// A record: its length, a byte of flags and kind, the path as bytes shared with the path before it and the rest, then
/// the fields. A length of 0 ends the table; the count of its entries follows.
enum EntryRecord {
    static let magic: [UInt8] = Array("LCET".utf8) + [1]
    /// The longest record; what ``LayerLimits`` lets through is shorter.
    static let mostBytes: UInt64 = 4 << 20

    static let kindMask: UInt8 = 0x0F
    /// Mode, uid and gid follow; without it they are those of the last entry of the same kind.
    static let permissions: UInt8 = 0x10
    /// The content's address follows; without it the content follows on the one before.
    static let address: UInt8 = 0x20
    static let nanoseconds: UInt8 = 0x40
    /// Extended attributes and the sparse map follow.
    static let extras: UInt8 = 0x80

    /// The permissions of the last entry of each kind.
    struct LastPermissions {
        private var last = [LayerEntry.Permissions](repeating: LayerEntry.Permissions(), count: 8)

        subscript(kind: LayerEntry.Kind) -> LayerEntry.Permissions {
            get { last[Int(kind.rawValue)] }
            set { last[Int(kind.rawValue)] = newValue }
        }
    }
}
