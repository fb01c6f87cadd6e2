internal import Glibc

/// Where the members of an OCI or docker archive lie in its tar, so that each can be read without the others.
///
/// One pass over the headers; file contents are skipped, not read. Members may come in any order; the last of one name counts, as with `tar -x`.
package struct ArchiveIndex: Sendable {
    private enum Member: Sendable {
        case file(FileRange)
        /// A symbolic or hard link, as old `docker save` wrote for equal layers; the path is from the root of the archive.
        case link(String)
    }

    private let name: String
    private var members: [String: Member] = [:]

    /// Indexes the tar in `range`.
    package init(_ range: FileRange, limits: ImportLimits) throws {
        name = range.file.name
        var scan = ArchiveScan(range: range, limits: limits)
        while let header = try scan.next() {
            guard members.count < limits.archiveMembers else {
                throw CacheError(.limitExceeded, "\(name) has more than \(limits.archiveMembers) members")
            }
            guard let path = Self.normalize(header.path, from: "") else {
                throw CacheError(.invalidInput, "\(name) has a member outside of it: '\(header.path)'")
            }
            switch header.type {
            case UInt8(ascii: "0"), 0, UInt8(ascii: "7"):
                members[path] = .file(
                    FileRange(file: range.file, offset: range.offset + header.start, size: header.size))
            case UInt8(ascii: "1"):
                if let target = Self.normalize(header.link, from: "") { members[path] = .link(target) }
            case UInt8(ascii: "2"):
                if let target = Self.normalize(header.link, from: path) { members[path] = .link(target) }
            default: break
            }
        }
    }

    /// The contents of the member at `path`; `nil` if there is none.
    package func find(_ path: String) throws -> FileRange? {
        guard var path = Self.normalize(path, from: "") else { return nil }
        for _ in 0..<8 {
            switch members[path] {
            case .file(let range): return range
            case .link(let target): path = target
            case nil: return nil
            }
        }
        throw CacheError(.invalidInput, "\(name): links from '\(path)' lead in a circle")
    }

    /// `path` without `.` and `..`, as seen from the directory of the member `base`; `nil` if it leads out.
    private static func normalize(_ path: String, from base: String) -> String? {
        var parts = path.hasPrefix("/") ? [] : base.split(separator: "/").dropLast()
        for part in path.split(separator: "/") where part != "." {
            if part != ".." {
                parts.append(part)
            } else if parts.popLast() == nil {
                return nil
            }
        }
        return parts.joined(separator: "/")
    }
}

/// The headers of a tar, one after the other: ustar, GNU long names, and of pax the records that place a member.
private struct ArchiveScan {
    struct Header {
        var path: String
        var link: String
        var type: UInt8
        var start: Int
        var size: Int
    }

    private static let block = 512
    let range: FileRange
    let limits: ImportLimits
    private var position = 0
    private var buffer = [UInt8](repeating: 0, count: ArchiveScan.block)

    init(range: FileRange, limits: ImportLimits) {
        self.range = range
        self.limits = limits
    }

    /// The next member that is not itself a description of another; `nil` at the end.
    mutating func next() throws -> Header? {
        var path: String?
        var link: String?
        var size: Int?
        var descriptions = 0
        while true {
            guard try readBlock() else { return nil }
            let stored = try number(124..<136)
            let type = buffer[156]
            guard stored >= 0, stored <= range.size - position else {
                throw malformed("a member reaches beyond its end")
            }
            switch type {
            case UInt8(ascii: "x"), UInt8(ascii: "L"), UInt8(ascii: "K"):
                descriptions += 1
                guard descriptions <= 16 else { throw malformed("too many headers describe one member") }
                let text = try description(stored)
                if type == UInt8(ascii: "L") { path = Self.string(text[...]) }
                if type == UInt8(ascii: "K") { link = Self.string(text[...]) }
                if type == UInt8(ascii: "x") {
                    for (key, value) in try paxRecords(text) {
                        if key == "path" { path = value }
                        if key == "linkpath" { link = value }
                        if key == "size" { size = Int(value) }
                    }
                }
                try skip(stored)
            case UInt8(ascii: "g"):
                try skip(stored)
            default:
                // Links, devices, directories and pipes have no contents, whatever their size field says.
                let isBare = (UInt8(ascii: "1")...UInt8(ascii: "6")).contains(type)
                let contents = isBare ? 0 : size ?? stored
                guard contents >= 0, contents <= range.size - position else {
                    throw malformed("a member reaches beyond its end")
                }
                let header = Header(
                    path: path ?? ustarPath(), link: link ?? Self.string(buffer[157..<257]), type: type,
                    start: position,
                    size: contents)
                try skip(contents)
                // Tens of thousands of them are kept.
                for text in [header.path, header.link] where text.utf8.count > ImportLimits.memberPathBytes {
                    throw CacheError(
                        .limitExceeded,
                        "\(range.file.name) has a member whose path or link has \(text.utf8.count) bytes, more than the limit of"
                            + " \(ImportLimits.memberPathBytes)")
                }
                return header
            }
        }
    }

    /// Reads a header and checks it; `false` at the two zero blocks, or the end of the file, that end a tar.
    private mutating func readBlock() throws -> Bool {
        guard position < range.size else { return false }
        guard range.size - position >= Self.block else {
            if position == 0 { try explainFormat(count: range.size) }
            throw malformed("it is truncated")
        }
        var filled = 0
        try buffer.withUnsafeMutableBytes { bytes in
            while filled < Self.block {
                let rest = UnsafeMutableRawBufferPointer(rebasing: bytes[filled...])
                filled += try range.read(into: rest, at: position + filled)
            }
        }
        if buffer.allSatisfy({ $0 == 0 }) { return false }
        var sum = 8 * Int(UInt8(ascii: " "))
        for index in 0..<Self.block where !(148..<156).contains(index) { sum += Int(buffer[index]) }
        guard try number(148..<156) == sum else {
            if position == 0 { try explainFormat(count: Self.block) }
            throw malformed("a header's checksum is wrong")
        }
        position += Self.block
        return true
    }

    /// Says what the file is instead of a tar, if that is plain to see.
    private func explainFormat(count: Int) throws {
        var start = [UInt8](repeating: 0, count: min(count, 8))
        let filled = try start.withUnsafeMutableBytes { try range.read(into: $0, at: 0) }
        guard
            let what = start.withUnsafeBytes({ ForeignFormat.explain(UnsafeRawBufferPointer(rebasing: $0[..<filled])) })
        else { return }
        throw CacheError(.invalidInput, "\(range.file.name) is no tar: \(what)")
    }

    private func description(_ size: Int) throws -> [UInt8] {
        guard size <= 1 << 20 else { throw malformed("a member's description has \(size) bytes") }
        return try FileRange(file: range.file, offset: range.offset + position, size: size).readAll(atMost: size)
    }

    private mutating func skip(_ size: Int) throws {
        position += (size + Self.block - 1) / Self.block * Self.block
        guard position <= range.size + Self.block else { throw malformed("it is truncated") }
    }

    private func paxRecords(_ text: [UInt8]) throws -> [(String, String)] {
        var records: [(String, String)] = []
        var rest = text[...]
        while !rest.isEmpty {
            guard let space = rest.firstIndex(of: UInt8(ascii: " ")),
                let length = Int(String(decoding: rest[rest.startIndex..<space], as: UTF8.self)),
                length > space - rest.startIndex + 1, length <= rest.count
            else { throw malformed("a pax header is malformed") }
            let end = rest.startIndex + length - 1
            if let equals = rest[space..<end].firstIndex(of: UInt8(ascii: "=")) {
                let key = String(decoding: rest[space + 1..<equals], as: UTF8.self)
                records.append((key, String(decoding: rest[equals + 1..<end], as: UTF8.self)))
            }
            rest = rest[(end + 1)...]
        }
        return records
    }

    private func ustarPath() -> String {
        let name = Self.string(buffer[0..<100])
        // Only POSIX ustar has a prefix; GNU tar keeps times at its place.
        guard buffer[257..<263].elementsEqual("ustar\0".utf8), buffer[345] != 0 else { return name }
        return Self.string(buffer[345..<500]) + "/" + name
    }

    private static func string(_ bytes: ArraySlice<UInt8>) -> String {
        String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
    }

    /// Octal digits, or GNU's big-endian binary with the first bit set.
    private func number(_ field: Range<Int>) throws -> Int {
        if buffer[field.lowerBound] & 0x80 != 0 {
            var value = Int(buffer[field.lowerBound] & 0x7f)
            for byte in buffer[field].dropFirst() {
                guard value < 1 << 54 else { throw malformed("a number in a header is too large") }
                value = value << 8 | Int(byte)
            }
            return value
        }
        let digits = buffer[field].drop { $0 == UInt8(ascii: " ") }.prefix { $0 != 0 && $0 != UInt8(ascii: " ") }
        if digits.isEmpty { return 0 }
        guard let value = Int(String(decoding: digits, as: UTF8.self), radix: 8), value >= 0 else {
            throw malformed("a number in a header is not octal")
        }
        return value
    }

    private func malformed(_ reason: String) -> CacheError {
        CacheError(.invalidInput, "\(range.file.name) is not a well-formed tar: \(reason) (at byte \(position))")
    }
}
