/// What pax records say about an entry: POSIX's keywords, extended attributes as star and libarchive write them, GNU's sparse files.
struct TarPaxRecords {
    struct Time {
        var seconds: Int64
        var nanoseconds: UInt32
    }

    var path: [UInt8]?
    var linkTarget: [UInt8]?
    /// Of what is stored.
    var size: UInt64?
    var uid: UInt32?
    var gid: UInt32?
    var mtime: Time?
    var xattrs: [LayerEntry.ExtendedAttribute] = []
    var sparse = Sparse()

    /// More than Linux can give a file, and few enough to be searched one by one.
    private static let mostXattrs = 1024

    /// GNU's formats 0.0, 0.1 and 1.0.
    struct Sparse {
        var isPresent = false
        /// Format 1.0: the map comes before the data.
        var isMapInData = false
        var path: [UInt8]?
        var size: UInt64?
        var segments: [LayerEntry.Segment] = []
        /// Format 0.0: an offset that waits for its length.
        var offset: UInt64?
    }

    /// Parses `payload`, records of the form `length keyword=value\n`, on top of what is known.
    mutating func parse(_ payload: UnsafeRawBufferPointer) throws {
        var rest = payload
        while let first = rest.first, first != 0 {
            guard let (length, digits) = TarDecimal.parse(rest, end: 0x20), length > UInt64(digits) + 1,
                length <= UInt64(rest.count)
            else { throw TarFault("a pax header with a wrong length") }
            let record = UnsafeRawBufferPointer(rebasing: rest[(digits + 1)..<(Int(length) - 1)])
            guard rest[Int(length) - 1] == 0x0A, let equals = record.firstIndex(of: UInt8(ascii: "=")), equals > 0
            else {
                throw TarFault("a malformed pax record")
            }
            try apply(
                UnsafeRawBufferPointer(rebasing: record[..<equals]),
                UnsafeRawBufferPointer(rebasing: record[(equals + 1)...]))
            rest = UnsafeRawBufferPointer(rebasing: rest[Int(length)...])
        }
    }

    private mutating func apply(_ key: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer) throws {
        switch key.count {
        case 3 where key.equals("uid"): uid = try value.ifAny { try Self.owner($0, "uid") }
        case 3 where key.equals("gid"): gid = try value.ifAny { try Self.owner($0, "gid") }
        case 4 where key.equals("path"): path = try value.ifAny { try Self.text($0, "path") }
        case 4 where key.equals("size"): size = try value.ifAny { try Self.size($0, "size") }
        case 5 where key.equals("mtime"): mtime = try value.ifAny(Self.time)
        case 8 where key.equals("linkpath"): linkTarget = try value.ifAny { try Self.text($0, "linkpath") }
        default:
            if key.starts(with: "GNU.sparse.".utf8) {
                try applySparse(UnsafeRawBufferPointer(rebasing: key[11...]), value)
            } else if key.starts(with: "SCHILY.xattr.".utf8), key.count > 13 {
                try set([UInt8](key[13...]), [UInt8](value))
            } else if key.starts(with: "LIBARCHIVE.xattr.".utf8), key.count > 17 {
                let name = try TarEscapes.decodePercent(UnsafeRawBufferPointer(rebasing: key[17...]))
                // The same attribute may come in star's form too, which has it unchanged.
                if !xattrs.contains(where: { $0.name == name }) { try set(name, TarEscapes.decodeBase64(value)) }
            }
        }
    }

    private mutating func set(_ name: [UInt8], _ value: [UInt8]) throws {
        guard !name.contains(0) else { throw TarFault("a name of an extended attribute with a NUL in it") }
        if let index = xattrs.firstIndex(where: { $0.name == name }) {
            xattrs[index].value = value
        } else {
            guard xattrs.count < Self.mostXattrs else {
                throw TarFault("more than \(Self.mostXattrs) extended attributes")
            }
            xattrs.append(LayerEntry.ExtendedAttribute(name: name, value: value))
        }
    }

    private mutating func applySparse(_ key: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer) throws {
        sparse.isPresent = true
        if key.equals("major") {
            sparse.isMapInData = value.equals("1")
        } else if key.equals("name") {
            sparse.path = try Self.text(value, "GNU.sparse.name")
        } else if key.equals("size") || key.equals("realsize") {
            sparse.size = try Self.size(value, "sparse size")
        } else if key.equals("offset") {
            sparse.offset = try Self.size(value, "sparse offset")
        } else if key.equals("numbytes") {
            guard let offset = sparse.offset.take() else { throw TarFault("a sparse map without an offset") }
            sparse.segments.append(LayerEntry.Segment(offset: offset, length: try Self.size(value, "sparse length")))
        } else if key.equals("map") {
            sparse.segments = try Self.map(value)
        }
    }

    /// Format 0.1: `offset,length,offset,length...`
    private static func map(_ value: UnsafeRawBufferPointer) throws -> [LayerEntry.Segment] {
        var numbers: [UInt64] = []
        for part in value.split(separator: UInt8(ascii: ","), omittingEmptySubsequences: false) where !value.isEmpty {
            numbers.append(try size(UnsafeRawBufferPointer(rebasing: part), "sparse map"))
        }
        guard numbers.count % 2 == 0 else { throw TarFault("a sparse map that lacks a length") }
        return stride(from: 0, to: numbers.count, by: 2).map {
            LayerEntry.Segment(offset: numbers[$0], length: numbers[$0 + 1])
        }
    }

    // MARK: Values

    private static func text(_ value: UnsafeRawBufferPointer, _ name: String) throws -> [UInt8] {
        guard !value.contains(0) else { throw TarFault("a pax record \(name) with a NUL in it") }
        return [UInt8](value)
    }

    private static func size(_ value: UnsafeRawBufferPointer, _ name: String) throws -> UInt64 {
        guard let (number, digits) = TarDecimal.parse(value, end: nil), digits == value.count else {
            throw TarFault("a malformed \(name) in a pax record")
        }
        guard number <= UInt64(TarNumber.largestSize) else {
            throw TarFault("an impossible \(name) of \(number) bytes")
        }
        return number
    }

    private static func owner(_ value: UnsafeRawBufferPointer, _ name: String) throws -> UInt32 {
        let isNegative = value.first == UInt8(ascii: "-")
        let digits = isNegative ? UnsafeRawBufferPointer(rebasing: value[1...]) : value
        guard let (number, count) = TarDecimal.parse(digits, end: nil), count == digits.count, number < 1 << 62 else {
            throw TarFault("a malformed \(name) in a pax record")
        }
        return TarNumber.owner(isNegative ? -Int64(number) : Int64(number))
    }

    /// Seconds with any number of decimals, rounded down to a nanosecond.
    private static func time(_ value: UnsafeRawBufferPointer) throws -> Time {
        let fault = TarFault("a malformed mtime in a pax record")
        let isNegative = value.first == UInt8(ascii: "-")
        let digits = isNegative ? UnsafeRawBufferPointer(rebasing: value[1...]) : value
        guard let (whole, count) = TarDecimal.parse(digits, end: UInt8(ascii: ".")), whole < 1 << 62 else {
            throw fault
        }
        var nanoseconds: Int64 = 0
        var unit: Int64 = 100_000_000
        var isRounded = false
        for byte in digits.dropFirst(count + 1) {
            guard byte >= 0x30, byte <= 0x39 else { throw fault }
            nanoseconds += Int64(byte - 0x30) * unit
            isRounded = isRounded || unit == 0 && byte != 0x30
            unit /= 10
        }
        guard isNegative else { return Time(seconds: Int64(whole), nanoseconds: UInt32(nanoseconds)) }
        nanoseconds += isRounded ? 1 : 0
        if nanoseconds == 0 { return Time(seconds: -Int64(whole), nanoseconds: 0) }
        return Time(seconds: -Int64(whole) - 1, nanoseconds: UInt32(1_000_000_000 - nanoseconds))
    }
}

extension UnsafeRawBufferPointer {
    fileprivate func equals(_ text: StaticString) -> Bool {
        count == text.utf8CodeUnitCount
            && elementsEqual(UnsafeRawBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
    }

    /// An empty value takes back what the header or an earlier record said.
    fileprivate func ifAny<T>(_ parse: (UnsafeRawBufferPointer) throws -> T) rethrows -> T? {
        isEmpty ? nil : try parse(self)
    }
}
