internal import CacheBase
internal import CacheFiles

/// A ZIP's directory, which says what its entries are called: the headers before their contents may say something else,
/// and what a listing shows is what counts. (PKWARE APPNOTE 6.3.10, 4.3.12.)
struct ZipDirectory {
    /// One entry, as the directory describes it.
    struct Entry {
        /// Inside of the archive, without `.`, `..`, empty parts and a slash at its end; empty for what names nothing.
        let path: FileName
        /// By its name, which has a slash at its end.
        let isDirectory: Bool
        /// By its attributes.
        let hasDirectoryMode: Bool
        let byteCount: UInt64
        /// Another entry further on has the same name, and takes its place.
        let isReplaced: Bool
    }

    private static let headerBytes = 46
    private static let magic: [UInt8] = [0x50, 0x4B, 1, 2]
    private static let zip64Field: UInt64 = 1
    private static let unicodePathField: UInt64 = 0x7075

    private let bytes: [UInt8]
    /// Where the records of the entries lie in `bytes`, in the order in which their contents lie in the file.
    private var records: [(contents: UInt64, position: Int)] = []
    /// The last entry of each name, by a hash of it.
    private var last: [Int: Int] = [:]

    var count: Int { records.count }

    /// - Throws: ``CacheError`` for a directory that is damaged, ambiguous or too large.
    init(_ range: FileRange, _ end: ZipEndRecord, name: String, limits: ImportLimits) throws {
        guard end.directoryBytes <= limits.zipDirectoryBytes else {
            throw Limit.zipDirectoryBytes.exceeded(
                "\(name): the ZIP's directory has \(end.directoryBytes) bytes, more than"
                    + " \(Limit.zipDirectoryBytes.text(limits.zipDirectoryBytes))")
        }
        var found: [UInt8]?
        for place in end.directoryPlaces where found == nil {
            let all = FileRange(file: range.file, offset: range.offset + place, size: end.directoryBytes)
            let read = try all.readAll(atMost: end.directoryBytes)
            if read.isEmpty || read.starts(with: Self.magic) { found = read }
        }
        guard let found else {
            throw CacheError(.invalidInput, "\(name): the ZIP's directory is not where its end says: it is damaged")
        }
        bytes = found
        var position = 0
        while position + Self.headerBytes <= bytes.count, bytes.has(Self.magic, at: position) {
            let next = position + Self.headerBytes + variableBytes(position)
            guard next <= bytes.count else { break }
            records.append((contents(position), position))
            last[try hash(position)] = position
            position = next
        }
        guard end.counts(records.count) else {
            throw CacheError(
                .invalidInput, "\(name): the ZIP's directory has \(records.count) entries, not as many as its end says")
        }
        records.sort { $0.contents < $1.contents }
        guard zip(records, records.dropFirst()).allSatisfy({ $0.contents != $1.contents }) else {
            throw CacheError(
                .invalidInput, "\(name) has entries that share one place in the file: it is damaged or a trap")
        }
    }

    /// The entry whose contents are the `index`th in the file.
    func entry(_ index: Int) throws -> Entry {
        let position = records[index].position
        let (path, isDirectory) = try self.path(position)
        return Entry(
            path: path, isDirectory: isDirectory, hasDirectoryMode: hasDirectoryMode(position),
            byteCount: number(24, wide: 0, position),
            isReplaced: try last[hash(position)] != position)
    }

    // MARK: Records

    private func variableBytes(_ position: Int) -> Int {
        [28, 30, 32].reduce(0) { $0 + Int(bytes.little(2, at: position + $1)) }
    }

    private func contents(_ position: Int) -> UInt64 {
        let isWide = { (offset: Int) in bytes.little(4, at: position + offset) == 0xFFFF_FFFF ? 1 : 0 }
        return number(42, wide: isWide(24) + isWide(20), position)
    }

    /// A number of four bytes, or the one of eight that stands for it in the field of ZIP64, behind `wide` others.
    private func number(_ offset: Int, wide: Int, _ position: Int) -> UInt64 {
        let short = bytes.little(4, at: position + offset)
        guard short == 0xFFFF_FFFF, let field = field(Self.zip64Field, position), field.count >= 8 * (wide + 1) else {
            return short
        }
        return bytes.little(8, at: field.lowerBound + 8 * wide)
    }

    /// Where the contents of an extra field lie.
    private func field(_ id: UInt64, _ position: Int) -> Range<Int>? {
        var start = position + Self.headerBytes + Int(bytes.little(2, at: position + 28))
        let end = start + Int(bytes.little(2, at: position + 30))
        while start + 4 <= end {
            let next = start + 4 + Int(bytes.little(2, at: start + 2))
            guard next <= end else { return nil }
            if bytes.little(2, at: start) == id { return start + 4..<next }
            start = next
        }
        return nil
    }

    private func hasDirectoryMode(_ position: Int) -> Bool {
        let attributes = bytes.little(4, at: position + 38)
        let isUnix = [3, 19].contains(bytes[position + 5])
        return isUnix ? FileStatus.Kind(ofMode: UInt32(attributes >> 16)) == .directory : attributes & 0x10 != 0
    }

    // MARK: Names

    private func hash(_ position: Int) throws -> Int { try path(position).0.hashValue }

    /// The name, kept inside: parts that would lead out of the archive, or to where it already is, are left out, as
    /// `unzip` and Python do.
    private func path(_ position: Int) throws -> (FileName, isDirectory: Bool) {
        var name = rawName(position).prefix { $0 != 0 }
        // Made by DOS or Windows, and with no other separator.
        let isDOS = bytes[position + 5] == 0
        if isDOS, !name.contains(UInt8(ascii: "/")) {
            name = ArraySlice(name.map { $0 == UInt8(ascii: "\\") ? UInt8(ascii: "/") : $0 })
        }
        let parts = name.split(separator: UInt8(ascii: "/")).filter {
            !$0.elementsEqual(".".utf8) && !$0.elementsEqual("..".utf8)
        }
        return (FileName(bytes: parts.joined(separator: [UInt8(ascii: "/")])), name.last == UInt8(ascii: "/"))
    }

    /// The name as bytes of UTF-8 where that is known to be possible, or else as they are.
    private func rawName(_ position: Int) -> ArraySlice<UInt8> {
        let start = position + Self.headerBytes
        let name = bytes[start..<start + Int(bytes.little(2, at: position + 28))]
        let isUTF8 = bytes.little(2, at: position + 8) & 0x800 != 0
        if isUTF8 || name.allSatisfy({ $0 < 0x80 }) && field(Self.unicodePathField, position) == nil { return name }
        if let unicode = unicodeName(of: name, position) { return unicode }
        // What DOS itself wrote is in its character set, unless the program knew better and did not say so.
        guard bytes[position + 5] == 0, String(validating: name, as: UTF8.self) == nil else { return name }
        return ArraySlice(CodePage437.decode(name).utf8)
    }

    /// Info-ZIP's field with the name in UTF-8, if it is for this name.
    private func unicodeName(of name: ArraySlice<UInt8>, _ position: Int) -> ArraySlice<UInt8>? {
        guard let field = field(Self.unicodePathField, position), field.count > 5, bytes[field.lowerBound] == 1 else {
            return nil
        }
        let sum = CRC32.checksum(of: name)
        guard UInt64(sum) == bytes.little(4, at: field.lowerBound + 1) else { return nil }
        return bytes[field.lowerBound + 5..<field.upperBound]
    }
}
