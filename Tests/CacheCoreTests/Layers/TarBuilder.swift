/// Writes archives that no program would write, field by field.
struct TarBuilder {
    var bytes: [UInt8] = []

    enum Checksum { case right, signed, wrong }

    /// Appends a header block; numbers are octal unless `fields` replaces them.
    mutating func header(
        _ path: String, type: Character = "0", size: Int = 0, link: String = "", mtime: Int = 1_700_000_000,
        mode: Int = 0o644,
        magic: String = "ustar\u{0}00", checksum: Checksum = .right, fields: [Int: [UInt8]] = [:]
    ) {
        var block = [UInt8](repeating: 0, count: 512)
        func put(_ text: some Sequence<UInt8>, at position: Int) {
            for (index, byte) in text.enumerated() { block[position + index] = byte }
        }
        func octal(_ value: Int, digits: Int) -> [UInt8] {
            let text = String(value, radix: 8)
            return Array((String(repeating: "0", count: digits - text.count) + text).utf8)
        }
        put(path.utf8, at: 0)
        put(octal(mode, digits: 7), at: 100)
        put(octal(1000, digits: 7), at: 108)
        put(octal(1001, digits: 7), at: 116)
        put(octal(size, digits: 11), at: 124)
        put(octal(mtime, digits: 11), at: 136)
        put(type == "\u{0}" ? [0] : Array(String(type).utf8), at: 156)
        put(link.utf8, at: 157)
        put(magic.utf8, at: 257)
        for (position, field) in fields { put(field, at: position) }
        put(Array("        ".utf8), at: 148)
        let sum: Int
        switch checksum {
        case .right: sum = block.reduce(0) { $0 + Int($1) }
        case .signed: sum = block.reduce(0) { $0 + Int(Int8(bitPattern: $1)) }
        case .wrong: sum = 1
        }
        put(octal(sum, digits: 6) + [0, 0x20], at: 148)
        bytes += block
    }

    /// Appends a content with its padding.
    mutating func content(_ content: [UInt8]) {
        bytes += content
        bytes += [UInt8](repeating: 0, count: (512 - content.count % 512) % 512)
    }

    mutating func file(_ path: String, _ content: [UInt8]) {
        header(path, size: content.count)
        self.content(content)
    }

    /// Appends an extended header of pax records.
    mutating func pax(_ records: [(String, [UInt8])], type: Character = "x") {
        var payload: [UInt8] = []
        for (key, value) in records {
            let rest = Array(" \(key)=".utf8) + value + [0x0A]
            var length = rest.count + 1
            while String(length).utf8.count + rest.count != length { length += 1 }
            payload += Array(String(length).utf8) + rest
        }
        header("PaxHeaders/x", type: type, size: payload.count)
        content(payload)
    }

    mutating func pax(_ key: String, _ value: String) { pax([(key, Array(value.utf8))]) }

    mutating func zeros(_ blocks: Int = 2) { bytes += [UInt8](repeating: 0, count: 512 * blocks) }

    func finished() -> [UInt8] { bytes + [UInt8](repeating: 0, count: 1024) }
}
