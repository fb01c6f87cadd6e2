internal import CacheClient
internal import CacheCore
internal import CacheFiles

/// The files of the filesystem's one directory: a value, and what the kernel is told of them.
struct FuseDirectory {
    struct Entry: Sendable {
        let number: UInt64
        let name: FileName
        let byteCount: UInt64
        /// `nil` while it is not open yet: its name and size are known, and reads wait.
        var device: (any BlockDevice)?
    }

    private var entries: [UInt64: Entry] = [:]
    private var numbers: [FileName: UInt64] = [:]

    subscript(_ number: UInt64) -> Entry? { entries[number] }

    func entry(named name: FileName) -> Entry? { numbers[name].flatMap { entries[$0] } }

    /// All of them, in the order of their numbers.
    var all: [Entry] { entries.values.sorted { $0.number < $1.number } }

    var byteCount: UInt64 { entries.values.reduce(0) { $0 &+ $1.byteCount } }
    var count: Int { entries.count }

    /// Adds a file that is not open yet.
    mutating func expect(_ number: UInt64, _ name: FileName, byteCount: UInt64) throws(CacheError) {
        guard FuseLimits.fileNumbers.contains(number) else {
            throw CacheError(.invalidInput, "a device cannot have the number \(number)")
        }
        guard (1...255).contains(name.bytes.count), !name.bytes.contains(0), !name.bytes.contains(UInt8(ascii: "/")),
            name != FileName("."), name != FileName("..")
        else { throw CacheError(.invalidInput, "a device cannot have the name '\(name)'") }
        guard byteCount <= UInt64(Int64.max) else {
            throw CacheError(.limitExceeded, "the device \(name) has \(byteCount) bytes, more than a file can have")
        }
        guard entries[number] == nil, numbers[name] == nil else {
            throw CacheError(.conflict, "there is a device \(name), or one of the number \(number), already")
        }
        entries[number] = Entry(number: number, name: name, byteCount: byteCount, device: nil)
        numbers[name] = number
    }

    /// Adds a device, or opens what was expected.
    mutating func insert(_ device: any BlockDevice, _ number: UInt64, _ name: FileName) throws(CacheError) {
        if entries[number] == nil { try expect(number, name, byteCount: device.byteCount) }
        guard let entry = entries[number], entry.device == nil, entry.name == name,
            entry.byteCount == device.byteCount
        else {
            throw CacheError(.conflict, "the device \(name) is not the one that is expected under the number \(number)")
        }
        entries[number]?.device = device
    }

    mutating func remove(_ number: UInt64) -> Entry? {
        guard let entry = entries.removeValue(forKey: number) else { return nil }
        numbers[entry.name] = nil
        return entry
    }
}
