/// What the bytes of a layer are. The raw values are part of the format.
public enum LayerKind: UInt8, Sendable {
    /// An uncompressed tar of any dialect: skeleton, data region and entry table.
    case tar = 1
    /// Any file: a data region only, cut every 512 KiB; skeleton and entry table are empty.
    case file = 2
}

/// The streams of chunks that make up a layer. The raw values are part of the format.
public enum LayerStream: UInt8, Sendable, CaseIterable {
    /// The data region: an address space of slots of 512 KiB, of which chunk number *n* fills slot *n* from its start.
    case data = 0
    /// The skeleton: chunks that are read one after the other.
    case skeleton = 1
    /// The entry table: chunks that are read one after the other.
    case entries = 2
}
