/// The named databases of a chunk store's environment.
enum Table: Int, CaseIterable {
    /// ``ChunkID`` -> ``ChunkRecord`` and the inline tail.
    case chunks
    /// ``ExtentKey`` -> one extent.
    case extents
    /// Sequence number -> ``ChunkID``, oldest first: the small queue.
    case small
    /// The same for the main queue.
    case main
    /// `"state"` -> ``StoreState``.
    case meta

    var name: StaticString {
        switch self {
        case .chunks: "chunks"
        case .extents: "extents"
        case .small: "small"
        case .main: "main"
        case .meta: "meta"
        }
    }

    /// The name as the key of the table of tables.
    var key: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: name.utf8Start, count: name.utf8CodeUnitCount) }

    init(_ queue: StoreQueue) {
        self = queue == .small ? .small : .main
    }
}

/// A number as an 8-byte key whose byte order is the order of numbers.
struct NumberKey {
    private let bigEndian: UInt64

    init(_ number: UInt64) {
        bigEndian = number.bigEndian
    }

    /// Reads a key back; 0 if it is not 8 bytes long (no store writes such a key).
    static func number(_ bytes: UnsafeRawBufferPointer) -> UInt64 {
        bytes.count == 8 ? UInt64(bigEndian: bytes.loadUnaligned(as: UInt64.self)) : 0
    }

    func withBytes<R, E: Error>(_ body: (UnsafeRawBufferPointer) throws(E) -> R) throws(E) -> R {
        try withUnsafeBytes(of: bigEndian, body)
    }
}
