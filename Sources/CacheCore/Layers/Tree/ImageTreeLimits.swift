/// What an ``ImageTree`` takes before it gives up with ``CacheError/Code/limitExceeded``: a bound for its memory.
package struct ImageTreeLimits: Sendable {
    /// Entries of all layers together: 16 million.
    package var entries = 16 << 20
    /// Bytes of names, link targets and extended attributes: 1 GiB.
    package var textBytes = 1 << 30
    /// Segments of sparse files: 16 million.
    package var segments = 16 << 20

    package init() {}

    /// The longest name that Linux takes (NAME_MAX).
    static let nameBytes = 255
    /// The longest path and the longest target of a symbolic link (PATH_MAX, without the zero byte at its end).
    static let pathBytes = 4095
    /// Symbolic links that are followed in the path of one entry: as many as the container runtimes follow.
    static let linksFollowed = 255
    /// The longest name and value of an extended attribute that Linux takes (XATTR_NAME_MAX, XATTR_SIZE_MAX).
    static let attributeNameBytes = 255
    static let attributeValueBytes = 65_536
    /// Names looked up behind symbolic links, beside 64 for each entry: links to links to long paths cost time and no
    /// bytes.
    static let linkedNames = 1 << 20
}
