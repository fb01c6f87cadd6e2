/// What a layer was made from. The raw values are part of the format.
public enum LayerKind: UInt8, Sendable {
    /// A tar: its exact bytes come back from skeleton and data region.
    case tar = 1
    /// A raw file: the data region is the file.
    case file = 2
}
