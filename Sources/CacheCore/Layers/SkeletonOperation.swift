/// The operations of which a skeleton consists. A tag (a varint) holds the operation in its lowest three bits and an
/// argument above.
enum SkeletonOperation: UInt64 {
    /// The end; argument: bytes of the whole tar.
    case end = 0
    /// Argument: a count; so many bytes follow.
    case literal = 1
    /// Argument: a count of zero bytes.
    case zeros = 2
    /// Argument: `length of the edits << 3 | computed checksum << 2 | class`; the edits follow.
    case block = 3
    /// Argument: `length << 2 | padded << 1 | explicit address`; the address follows if it is explicit. `padded`: zeros
    /// up to the next multiple of 512 bytes of the content come after it.
    case data = 4

    static let magic: [UInt8] = Array("LCSK".utf8) + [1]
    /// The most that an operation can take, the bytes of a literal aside: a tag and the edits of a block.
    static let mostBytes = 2048
}
