import Foundation

/// A sequence of reads of chunks, or of what else a cache holds.
struct AccessTrace {
    /// As it stands in rows, and in names of files.
    let name: String
    /// What was read, one after the other: places in ``sizes``.
    private(set) var reads: [Int] = []
    /// The size of each object.
    private(set) var sizes: [Int] = []
    private var wasRead: [Bool] = []
    /// What was read has so many bytes, each object counted once.
    private(set) var footprint = 0
    /// How many objects were read.
    private(set) var objects = 0

    init(name: String) { self.name = name }

    var bytesRead: Int { reads.reduce(0) { $0 + sizes[$1] } }

    /// Adds an object of `size`; its place.
    mutating func addObject(size: Int) -> Int {
        sizes.append(size)
        wasRead.append(false)
        return sizes.count - 1
    }

    mutating func read(_ object: Int) {
        reads.append(object)
        guard !wasRead[object] else { return }
        wasRead[object] = true
        objects += 1
        footprint += sizes[object]
    }

    /// The same reads of objects of size 1.
    var unitSized: AccessTrace {
        var trace = AccessTrace(name: name)
        for _ in sizes { _ = trace.addObject(size: 1) }
        for object in reads { trace.read(object) }
        return trace
    }

    /// For each read, the place of the next one of the same object; `Int.max` for the last.
    var nextReads: [Int] {
        var next = Array(repeating: Int.max, count: reads.count)
        var later = Array(repeating: Int.max, count: sizes.count)
        for place in reads.indices.reversed() {
            next[place] = later[reads[place]]
            later[reads[place]] = place
        }
        return next
    }
}

/// libCacheSim's `oracleGeneral`: records of 24 bytes, little-endian: u32 seconds, u64 object, u32 size, i64 the number
/// of the next read of the object.
extension AccessTrace {
    private static let recordBytes = 24
    private static let maximumBytes = 1 << 30

    /// Reads a file of that format; an object keeps the size that it was read with first.
    init(name: String, oracleGeneral path: String) throws {
        self.init(name: name)
        let file = try FileHandle(forReadingFrom: URL(fileURLWithPath: path))
        defer { try? file.close() }
        let data = try file.read(upToCount: Self.maximumBytes) ?? Data()
        guard !data.isEmpty, data.count % Self.recordBytes == 0, data.count < Self.maximumBytes else {
            throw BenchError("\(path) is no trace of records of \(Self.recordBytes) bytes, or has 1 GiB or more")
        }
        var places: [UInt64: Int] = [:]
        data.withUnsafeBytes { bytes in
            for start in stride(from: 0, to: bytes.count, by: Self.recordBytes) {
                let object = bytes.loadUnaligned(fromByteOffset: start + 4, as: UInt64.self)
                let size = Int(bytes.loadUnaligned(fromByteOffset: start + 12, as: UInt32.self))
                let place = places[object] ?? addObject(size: max(size, 1))
                places[object] = place
                read(place)
            }
        }
    }

    func write(oracleGeneral path: String) throws {
        var data = Data(capacity: reads.count * Self.recordBytes)
        for (number, next) in nextReads.enumerated() {
            withUnsafeBytes(of: UInt32(truncatingIfNeeded: number / 1_000)) { data.append(contentsOf: $0) }
            withUnsafeBytes(of: UInt64(reads[number] + 1)) { data.append(contentsOf: $0) }
            withUnsafeBytes(of: UInt32(truncatingIfNeeded: sizes[reads[number]])) { data.append(contentsOf: $0) }
            withUnsafeBytes(of: next == .max ? Int64(-1) : Int64(next + 1)) { data.append(contentsOf: $0) }
        }
        try data.write(to: URL(fileURLWithPath: path))
    }
}
