import CacheCore
import CacheFiles
import Glibc
import TestSupport
import Testing

/// Files that are mapped: where they are, and what a page is that the kernel cannot give.
@Suite struct MapGuardTests {
    private let directory: TemporaryDirectory

    init() throws { directory = try TemporaryDirectory() }

    @Test func theOwnPagesAreZerosAndTheGuardSaysSo() throws {
        let page = Int(sysconf(Int32(_SC_PAGESIZE)))
        let path = "\(directory.path)/file"
        let descriptor = open(path, O_RDWR | O_CREAT, 0o600)
        defer { close(descriptor) }
        let content = [UInt8](repeating: 7, count: 8 * page)
        #expect(write(descriptor, content, content.count) == content.count)
        let map = try #require(mmap(nil, content.count, PROT_READ, MAP_SHARED, descriptor, 0))
        defer { munmap(map, content.count) }
        let guarded = MapGuard()
        let start = UInt(bitPattern: map)
        guarded.guards(data: .init(start: start, bytes: UInt(content.count)), lock: .init(start: 0, bytes: 0))
        #expect(map.load(fromByteOffset: 7 * page, as: UInt8.self) == 7)
        #expect(!guarded.isBroken)
        #expect(ftruncate(descriptor, off_t(2 * page)) == 0)
        #expect(map.load(fromByteOffset: 5 * page, as: UInt8.self) == 0)
        #expect(guarded.isBroken)
        // What is there is not touched.
        #expect(map.load(fromByteOffset: 2 * page - 1, as: UInt8.self) == 7)
        // The next one with that slot begins anew.
        #expect(!MapGuard().isBroken)
    }

    @Test func aMappedFileIsFound() throws {
        // A filesystem in layers may name another device in the kernel's list than the file has; this one has no
        // layers.
        let directory = try TemporaryDirectory(in: "/dev/shm")
        let page = Int(sysconf(Int32(_SC_PAGESIZE)))
        let file = try OpenFile.open("\(directory.path)/mapped", [.readWrite, .createNew], mode: 0o600)
        try file.descriptor.truncate(to: 3 * page)
        let identity = try file.status().identity
        #expect(MappedMemory.region(of: identity, pathWith: "/mapped") == nil)
        let map = try #require(mmap(nil, 3 * page, PROT_READ, MAP_SHARED, file.descriptor.rawValue, 0))
        defer { munmap(map, 3 * page) }
        let region = try #require(MappedMemory.region(of: identity, pathWith: "/mapped"))
        #expect(region.start == UInt(bitPattern: map))
        #expect(region.bytes == UInt(3 * page))
        #expect(MappedMemory.region(of: identity, pathWith: "/another") == nil)
    }
}
