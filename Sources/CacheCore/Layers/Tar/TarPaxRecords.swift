internal import Glibc

/// What the pax records of one extended header say about an entry: POSIX's keywords, extended attributes as star and
/// libarchive write them, GNU's sparse files. An empty value leaves what the entry's header says.
struct TarPaxRecords {
    struct Time {
        var seconds: Int64
        var nanoseconds: UInt32
    }

    private(set) var path: [UInt8]?
    private(set) var linkTarget: [UInt8]?
    /// Of what is stored.
    private(set) var size: Int64?
    private(set) var uid: Int64?
    private(set) var gid: Int64?
    private(set) var mtime: Time?
    private(set) var xattrs: [LayerEntry.ExtendedAttribute] = []
    /// `nil` if nothing is said of that.
    private(set) var sparse: TarSparseRecords?

    /// More than Linux can give a file, and few enough to be searched one by one.
    private static let mostXattrs = 1024

    /// Nothing.
    init() {}

    init(_ payload: UnsafeRawBufferPointer) throws {
        try Self.forEach(payload) { try apply($0, $1) }
    }

    /// Hands the records of `payload`, of the form `length keyword=value\n`, to `body`; nothing may follow on the last
    /// one.
    static func forEach(
        _ payload: UnsafeRawBufferPointer,
        _ body: (_ key: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer) throws -> Void
    ) throws {
        var rest = payload
        while !rest.isEmpty {
            guard let blank = rest.prefix(20).firstIndex(of: 0x20), rest[0] >= 0x30,
                let length = TarDecimal.parse(UnsafeRawBufferPointer(rebasing: rest[..<blank])),
                length > blank + 1, length <= rest.count
            else { throw TarFault("a pax header with a wrong length") }
            let record = UnsafeRawBufferPointer(rebasing: rest[(blank + 1)..<(Int(length) - 1)])
            guard rest[Int(length) - 1] == 0x0A, let equals = record.firstIndex(of: UInt8(ascii: "=")), equals > 0
            else {
                throw TarFault("a malformed pax record")
            }
            let key = UnsafeRawBufferPointer(rebasing: record[..<equals])
            let value = UnsafeRawBufferPointer(rebasing: record[(equals + 1)...])
            guard !key.hasNUL else { throw TarFault("a pax record with a NUL in its name") }
            if value.hasNUL, isText(key) {
                throw TarFault("a pax record \(String(decoding: key, as: UTF8.self)) with a NUL in it")
            }
            try body(key, value)
            rest = UnsafeRawBufferPointer(rebasing: rest[Int(length)...])
        }
    }

    /// Other values are bytes.
    private static func isText(_ key: UnsafeRawBufferPointer) -> Bool {
        key.equals("path") || key.equals("linkpath") || key.equals("uname") || key.equals("gname")
    }

    private mutating func apply(_ key: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer) throws {
        switch key.count {
        case 3 where key.equals("uid"): uid = try value.ifAny { try Self.number($0, "uid") }
        case 3 where key.equals("gid"): gid = try value.ifAny { try Self.number($0, "gid") }
        case 4 where key.equals("path"): path = value.ifAny { [UInt8]($0) }
        case 4 where key.equals("size"): size = try value.ifAny { try Self.number($0, "size") }
        case 5 where key.equals("mtime"): mtime = try value.ifAny { try Self.time($0, "mtime") }
        case 8 where key.equals("linkpath"): linkTarget = value.ifAny { [UInt8]($0) }
        // These have no place in an entry, but no runtime takes a layer in which they are malformed.
        case 5 where key.equals("atime"): _ = try value.ifAny { try Self.time($0, "atime") }
        case 5 where key.equals("ctime"): _ = try value.ifAny { try Self.time($0, "ctime") }
        default:
            if key.starts(with: "GNU.sparse.".utf8) {
                if sparse == nil { sparse = TarSparseRecords() }
                try sparse?.apply(UnsafeRawBufferPointer(rebasing: key[11...]), value)
            } else if key.starts(with: "SCHILY.xattr.".utf8), key.count > 13 {
                try set([UInt8](key[13...]), [UInt8](value))
            } else if key.starts(with: "LIBARCHIVE.xattr.".utf8), key.count > 17 {
                // libarchive writes star's form too, which has the attribute unchanged and is what others read; so what
                // is malformed here is no reason to refuse a layer.
                guard let name = TarEscapes.decodePercent(UnsafeRawBufferPointer(rebasing: key[17...])),
                    !name.contains(0), !xattrs.contains(where: { $0.name == name }),
                    let value = TarEscapes.decodeBase64(value)
                else { return }
                try set(name, value)
            }
        }
    }

    private mutating func set(_ name: [UInt8], _ value: [UInt8]) throws {
        if let index = xattrs.firstIndex(where: { $0.name == name }) {
            xattrs[index].value = value
        } else {
            guard xattrs.count < Self.mostXattrs else {
                throw TarFault("more than \(Self.mostXattrs) extended attributes")
            }
            xattrs.append(LayerEntry.ExtendedAttribute(name: name, value: value))
        }
    }

    // MARK: Values

    private static func number(_ value: UnsafeRawBufferPointer, _ name: String) throws -> Int64 {
        guard let number = TarDecimal.parse(value) else { throw TarFault("a malformed \(name) in a pax record") }
        return number
    }

    /// Seconds with any number of decimals, of which those beyond a nanosecond are left out.
    private static func time(_ value: UnsafeRawBufferPointer, _ name: String) throws -> Time {
        let fault = TarFault("a malformed \(name) in a pax record")
        let point = value.firstIndex(of: UInt8(ascii: ".")) ?? value.count
        guard let whole = TarDecimal.parse(UnsafeRawBufferPointer(rebasing: value[..<point])) else { throw fault }
        var nanoseconds: UInt32 = 0
        var unit: UInt32 = 100_000_000
        for byte in value.dropFirst(point + 1) {
            guard byte >= 0x30, byte <= 0x39 else { throw fault }
            nanoseconds += UInt32(byte - 0x30) * unit
            unit /= 10
        }
        // -1.25 is three quarters of a second after -2; -0.25 has a sign, too.
        guard value.first == UInt8(ascii: "-"), nanoseconds > 0, whole > .min else {
            return Time(seconds: whole, nanoseconds: nanoseconds)
        }
        return Time(seconds: whole - 1, nanoseconds: 1_000_000_000 - nanoseconds)
    }
}

extension UnsafeRawBufferPointer {
    func equals(_ text: StaticString) -> Bool {
        count == text.utf8CodeUnitCount
            && elementsEqual(UnsafeRawBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
    }

    fileprivate var hasNUL: Bool {
        guard let base = baseAddress else { return false }
        return memchr(base, 0, count) != nil
    }

    /// An empty value takes back what an earlier record said.
    fileprivate func ifAny<T>(_ parse: (UnsafeRawBufferPointer) throws -> T) rethrows -> T? {
        isEmpty ? nil : try parse(self)
    }
}
