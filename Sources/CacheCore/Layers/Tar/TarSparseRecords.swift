/// The pax records by which GNU tar describes a sparse file, in its formats 0.0, 0.1 and 1.0, as Go's reader takes
/// them.
struct TarSparseRecords {
    enum Format {
        /// 0.0 and 0.1: the map is in the records.
        case mapInRecords
        /// 1.0: the map comes before the data.
        case mapInData
    }

    private var major: [UInt8] = []
    private var minor: [UInt8] = []
    private var blocks: [UInt8] = []
    private var map: [UInt8] = []
    private var name: [UInt8] = []
    private var plainSize: [UInt8] = []
    private var realSize: [UInt8] = []
    /// The offsets and lengths that came one by one (format 0.0), as a map.
    private var pieces: [UInt8] = []
    private var pieceCount = 0

    /// `nil` if the entry is no sparse file, or one of an unknown version: then it is the file that its header says,
    /// its map a part of the content.
    var format: Format? {
        switch (major, minor) {
        case ([0x31], [0x30]): return .mapInData
        case ([0x30], [0x30]), ([0x30], [0x31]): return .mapInRecords
        // The first versions did not say which they are.
        case ([], []): return map.isEmpty && pieces.isEmpty ? nil : .mapInRecords
        default: return nil
        }
    }

    /// The real name; that of the header is made up for readers that do not know the format.
    var path: [UInt8]? { name.isEmpty || format == nil ? nil : name }

    /// The size of the file as its readers see it, if the records say so.
    func size() throws -> UInt64? {
        let text = plainSize.isEmpty ? realSize : plainSize
        guard !text.isEmpty else { return nil }
        return try Self.size(text, "a malformed size of a sparse file")
    }

    /// The map of the formats that have it in the records.
    func segments() throws -> [LayerEntry.Segment] {
        guard let count = blocks.withUnsafeBytes(TarDecimal.parse) else {
            throw TarFault("a sparse map that does not say how many segments it has")
        }
        // `offset,length,offset,length...`
        let text = pieces.isEmpty ? map : pieces
        let numbers = try text.split(separator: UInt8(ascii: ","), omittingEmptySubsequences: false)
            .filter { !text.isEmpty || !$0.isEmpty }
            .map { try Self.size(Array($0), "a malformed number in a sparse map") }
        guard numbers.count % 2 == 0, numbers.count / 2 == count else {
            throw TarFault("a sparse map that has not as many segments as it says")
        }
        return stride(from: 0, to: numbers.count, by: 2).map {
            LayerEntry.Segment(offset: numbers[$0], length: numbers[$0 + 1])
        }
    }

    /// Takes a record whose keyword is `GNU.sparse.` and `key`.
    mutating func apply(_ key: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer) throws {
        if key.equals("offset") || key.equals("numbytes") {
            guard key.equals("offset") == (pieceCount % 2 == 0), !value.contains(UInt8(ascii: ",")) else {
                throw TarFault("a sparse map whose offsets and lengths do not alternate")
            }
            if pieceCount > 0 { pieces.append(UInt8(ascii: ",")) }
            pieces.append(contentsOf: value)
            pieceCount += 1
        } else if key.equals("major") {
            major = [UInt8](value)
        } else if key.equals("minor") {
            minor = [UInt8](value)
        } else if key.equals("name") {
            guard !value.contains(0) else { throw TarFault("a pax record GNU.sparse.name with a NUL in it") }
            name = [UInt8](value)
        } else if key.equals("size") {
            plainSize = [UInt8](value)
        } else if key.equals("realsize") {
            realSize = [UInt8](value)
        } else if key.equals("numblocks") {
            blocks = [UInt8](value)
        } else if key.equals("map") {
            map = [UInt8](value)
        }
    }

    private static func size(_ text: [UInt8], _ fault: String) throws -> UInt64 {
        guard let number = text.withUnsafeBytes(TarDecimal.parse) else { throw TarFault(fault) }
        return try TarNumber.size(number)
    }
}
