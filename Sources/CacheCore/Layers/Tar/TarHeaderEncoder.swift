package import CacheFiles

/// Encodes the header of one member of a tar that is made here: POSIX ustar, with a pax header where ustar has no room.
/// The fields are what the header says; ``encoded()`` gives its bytes.
///
/// The bytes depend on the fields alone, and so do the chunks that are made of them: not on a version, a locale or a
/// clock. A number too large for octal digits is written in base 256, as GNU tar does and all readers understand.
/// (POSIX.1-2017, pax, "ustar Interchange Format".)
package struct TarHeaderEncoder {
    package enum Kind: UInt8 {
        case file = 0x30
        case hardLink
        case symbolicLink
        case characterDevice
        case blockDevice
        case directory
        case fifo
    }

    /// Bytes of a block: headers are whole blocks, contents are padded to one.
    package static let block = 512

    /// Ends with a slash for a directory.
    package var path: FileName
    package var kind: Kind
    /// Permission bits, with setuid, setgid and sticky.
    package var mode: UInt32
    package var size = 0
    package var userID = 0
    package var groupID = 0
    package var seconds = 0
    package var nanoseconds = 0
    package var link = FileName("")
    package var deviceMajor = 0
    package var deviceMinor = 0
    /// Extended attributes; their names must hold no `=`.
    package var attributes: [(name: FileName, value: [UInt8])] = []

    package init(path: FileName, kind: Kind, mode: UInt32, size: Int = 0) {
        self.path = path
        self.kind = kind
        self.mode = mode
        self.size = size
    }

    /// How many zeros follow `position` up to the next block.
    package static func padding(after position: Int) -> Int { (block - position % block) % block }

    /// The header, whole blocks; the contents follow it.
    package func encoded() -> [UInt8] {
        var records = paxRecords()
        let header = ustar(path: path, kind: kind.rawValue, size: size, seconds: min(max(seconds, 0), 0o77777777777))
        guard !records.isEmpty else { return header }
        let extensionHeader = ustar(
            path: FileName("PaxHeader"), kind: UInt8(ascii: "x"), size: records.count, seconds: 0)
        records.append(contentsOf: repeatElement(0, count: Self.padding(after: records.count)))
        return extensionHeader + records + header
    }

    private func paxRecords() -> [UInt8] {
        var records: [UInt8] = []
        func add(_ key: String, _ value: some Collection<UInt8>) {
            let fixed = key.utf8.count + value.count + 3
            // The length counts its own digits.
            var length = fixed + String(fixed).utf8.count
            if String(length).utf8.count > String(fixed).utf8.count { length = fixed + String(length).utf8.count }
            records.append(contentsOf: "\(length) \(key)=".utf8)
            records.append(contentsOf: value)
            records.append(UInt8(ascii: "\n"))
        }
        let longPath = path.bytes.count > 100
        let longLink = link.bytes.count > 100
        let names = (longPath ? [path.bytes] : []) + (longLink ? [link.bytes] : [])
        if names.contains(where: { String(validating: $0, as: UTF8.self) == nil }) {
            add("hdrcharset", "BINARY".utf8)
        }
        if longPath { add("path", path.bytes) }
        if longLink { add("linkpath", link.bytes) }
        if nanoseconds != 0 || seconds < 0 || seconds > 0o77777777777 { add("mtime", timeText().utf8) }
        for attribute in attributes.sorted(by: { $0.name < $1.name }) {
            add("SCHILY.xattr.\(attribute.name)", attribute.value)
        }
        return records
    }

    /// Seconds since 1970 as pax writes them, negative ones too: -1.5 is 500 million nanoseconds after -2.
    private func timeText() -> String {
        guard nanoseconds != 0 else { return String(seconds) }
        let (whole, part) = seconds < 0 ? (seconds + 1, 1_000_000_000 - nanoseconds) : (seconds, nanoseconds)
        let sign = seconds < 0 && whole == 0 ? "-" : ""
        let digits = String(part)
        return "\(sign)\(whole).\(String(repeating: "0", count: 9 - digits.utf8.count))\(digits)"
    }

    private func ustar(path: FileName, kind: UInt8, size: Int, seconds: Int) -> [UInt8] {
        var header = [UInt8](repeating: 0, count: Self.block)
        func put(_ bytes: some Collection<UInt8>, _ field: Range<Int>) {
            for (index, byte) in zip(field, bytes) { header[index] = byte }
        }
        func put(number: Int, _ field: Range<Int>) {
            let digits = String(number, radix: 8)
            if number >= 0, digits.utf8.count < field.count {
                put(repeatElement(UInt8(ascii: "0"), count: field.count - 1 - digits.utf8.count), field)
                put(digits.utf8, field.upperBound - 1 - digits.utf8.count..<field.upperBound)
                return
            }
            for (place, index) in field.reversed().enumerated() {
                header[index] = place < 8 ? UInt8(truncatingIfNeeded: number >> (8 * place)) : number < 0 ? 0xff : 0
            }
            header[field.lowerBound] |= 0x80
        }
        put(path.bytes, 0..<100)
        put(number: Int(mode), 100..<108)
        put(number: userID, 108..<116)
        put(number: groupID, 116..<124)
        put(number: size, 124..<136)
        put(number: seconds, 136..<148)
        header[156] = kind
        put(link.bytes, 157..<257)
        put("ustar\u{0}00".utf8, 257..<265)
        put(number: deviceMajor, 329..<337)
        put(number: deviceMinor, 337..<345)
        put(repeatElement(UInt8(ascii: " "), count: 8), 148..<156)
        let sum = header.reduce(0) { $0 + Int($1) }
        put(number: sum, 148..<155)
        return header
    }
}
