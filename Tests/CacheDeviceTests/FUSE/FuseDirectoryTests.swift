import CLinux
import CacheCore
import CacheFiles
import Testing

@testable import CacheDevice

@Suite("The directory that FUSE shows")
struct FuseDirectoryTests {
    private func directory(_ count: Int) throws -> FuseDirectory {
        var directory = FuseDirectory()
        for number in 0..<count {
            try directory.expect(UInt64(number + 2), FileName("device-\(number)"), byteCount: 4096)
        }
        return directory
    }

    /// The names and places of a listing.
    private func entries(_ bytes: [UInt8]) -> [(name: String, place: UInt64)] {
        var entries: [(String, UInt64)] = []
        bytes.withUnsafeBytes { bytes in
            var offset = 0
            let header = MemoryLayout<fuse_dirent>.size
            while let place = bytes.value(at: offset + 8, as: UInt64.self),
                let length = bytes.value(at: offset + 16, as: UInt32.self)
            {
                let name = bytes[(offset + header)..<(offset + header + Int(length))]
                entries.append((String(decoding: name, as: UTF8.self), place))
                offset += (header + Int(length) + 7) & ~7
            }
        }
        return entries
    }

    @Test(arguments: [24, 100, 4096, 1 << 20])
    func listingsOfAnySizeHaveEachEntryOnce(_ limit: Int) throws {
        let directory = try directory(300)
        var names: [String] = []
        var place: UInt64 = 0
        while true {
            let part = entries(directory.list(after: place, atMost: limit))
            guard let last = part.last else { break }
            names += part.map(\.name)
            place = last.place
        }
        // An entry that does not fit ends the listing.
        #expect(names == (limit < 32 ? [] : [".", ".."] + (0..<300).map { "device-\($0)" }))
    }

    @Test func nothingIsLeftOutWhenAnEntryGoes() throws {
        var directory = try directory(10)
        let first = entries(directory.list(after: 0, atMost: 200))
        _ = directory.remove(3)
        let rest = entries(directory.list(after: try #require(first.last?.place), atMost: 4096))
        #expect((first + rest).map(\.name) == [".", ".."] + (0..<10).map { "device-\($0)" })
    }

    @Test func namesAndNumbersAreChecked() throws {
        var directory = try directory(1)
        for name in ["", ".", "..", "a/b", "a\0b", String(repeating: "x", count: 256), "device-0"] {
            #expect(throws: CacheError.self) { try directory.expect(9, FileName(name), byteCount: 4096) }
        }
        for number in [UInt64(0), 1, 2, 1 << 63, .max] {
            #expect(throws: CacheError.self) { try directory.expect(number, FileName("new"), byteCount: 4096) }
        }
        #expect(throws: CacheError.self) { try directory.expect(9, FileName("new"), byteCount: .max) }
        #expect(directory.count == 1)
    }
}
