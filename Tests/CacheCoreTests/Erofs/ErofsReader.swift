import CacheCore
import NIOCore
import Testing

/// Reads the metadata of an EROFS image by the kernel's description of the format, apart from what writes it.
struct ErofsReader {
    let bytes: [UInt8]

    struct Inode {
        let slot: Int
        let layout: Int
        let mode: Int
        let size: UInt64
        let place: UInt32
        let uid: UInt32
        let gid: UInt32
        let seconds: Int64
        let nanoseconds: UInt32
        let links: UInt32
        let attributeBytes: Int

        var position: Int { slot * 32 }
        var end: Int { position + 64 + attributeBytes }
        var isDirectory: Bool { mode & 0o170000 == 0o040000 }
    }

    func number<Number: FixedWidthInteger>(_ position: Int, as: Number.Type = Number.self) -> Number {
        var value: Number = 0
        withUnsafeMutableBytes(of: &value) { target in
            for index in 0..<target.count { target[index] = bytes[position + index] }
        }
        return Number(littleEndian: value)
    }

    var root: Int { Int(number(1024 + 14, as: UInt16.self)) }
    var inodeCount: UInt64 { number(1024 + 16) }
    var blocks: UInt32 { number(1024 + 36) }
    var identifier: [UInt8] { Array(bytes[1024 + 48..<1024 + 64]) }
    var incompatibleFeatures: UInt32 { number(1024 + 80) }

    func inode(_ slot: Int) throws -> Inode {
        let at = slot * 32
        let format: UInt16 = number(at)
        try #require(format & ~0b1111 == 0 && format & 1 == 1, "a format of inodes that 6.1 does not know")
        let words = Int(number(at + 2, as: UInt16.self))
        try #require(number(at + 6, as: UInt16.self) == 0)
        return Inode(
            slot: slot, layout: Int(format >> 1), mode: Int(number(at + 4, as: UInt16.self)), size: number(at + 8),
            place: number(at + 16), uid: number(at + 24), gid: number(at + 28), seconds: number(at + 32),
            nanoseconds: number(at + 40), links: number(at + 44), attributeBytes: words == 0 ? 0 : 12 + 4 * (words - 1))
    }

    /// The bytes of a directory or a link.
    func content(_ inode: Inode) throws -> [UInt8] {
        if inode.layout == 0 {
            let start = Int(inode.place) * 4096
            return Array(bytes[start..<start + Int(inode.size)])
        }
        try #require(inode.layout == 2)
        try #require(inode.end / 4096 == (inode.end + max(Int(inode.size), 1) - 1) / 4096, "inline bytes cross a block")
        return Array(bytes[inode.end..<inode.end + Int(inode.size)])
    }

    /// The entries of a directory, in order, `.` and `..` included.
    func entries(_ inode: Inode) throws -> [(name: [UInt8], slot: Int, type: UInt8)] {
        let all = try content(inode)
        var list: [(name: [UInt8], slot: Int, type: UInt8)] = []
        for start in stride(from: 0, to: all.count, by: 4096) {
            let block = ErofsReader(bytes: Array(all[start..<min(start + 4096, all.count)]))
            let names = Int(block.number(8, as: UInt16.self))
            try #require(names % 12 == 0 && names > 0)
            for entry in 0..<names / 12 {
                let from = Int(block.number(entry * 12 + 8, as: UInt16.self))
                let isLast = (entry + 1) * 12 == names
                let to = isLast ? block.bytes.count : Int(block.number(entry * 12 + 20, as: UInt16.self))
                var name = Array(block.bytes[from..<to])
                if isLast { name = Array(name.prefix { $0 != 0 }) }
                list.append((name, Int(block.number(entry * 12, as: UInt64.self)), block.bytes[entry * 12 + 10]))
            }
        }
        return list
    }

    /// The attributes of an inode by the numbers of their prefixes.
    func attributes(_ inode: Inode) throws -> [(prefix: UInt8, suffix: [UInt8], value: [UInt8])] {
        guard inode.attributeBytes > 0 else { return [] }
        let start = inode.position + 64
        let header = Array(bytes[start..<start + 12])
        try #require(header == [UInt8](repeating: 0, count: 12))
        var list: [(prefix: UInt8, suffix: [UInt8], value: [UInt8])] = []
        var at = start + 12
        while at < inode.end {
            let (name, value) = (Int(bytes[at]), Int(number(at + 2, as: UInt16.self)))
            let from = at + 4
            list.append(
                (bytes[at + 1], Array(bytes[from..<from + name]), Array(bytes[from + name..<from + name + value])))
            at = (from + name + value + 3) & ~3
        }
        try #require(at == inode.end)
        return list
    }

    /// The blocks of the chunks of a file, and how many bits of address are in one.
    func chunks(_ inode: Inode) throws -> (bits: Int, blocks: [UInt32]) {
        try #require(inode.layout == 4)
        try #require(inode.place & ~0x1F == 0)
        let bits = 12 + Int(inode.place)
        let count = inode.size == 0 ? 0 : Int((inode.size - 1) >> UInt64(bits)) + 1
        return (bits, (0..<count).map { number(inode.end + 4 * $0) })
    }

    /// The inode that a path leads to.
    func find(_ path: String) throws -> Inode {
        var found = try inode(root)
        for name in path.split(separator: "/") {
            let entry = try entries(found).first { $0.name == Array(name.utf8) }
            found = try inode(try #require(entry, "\(path) is not there").slot)
        }
        return found
    }
}
