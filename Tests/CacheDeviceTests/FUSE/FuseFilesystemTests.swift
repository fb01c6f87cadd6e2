import CacheClient
import CacheCore
import CacheDevice
import CacheFiles
import Foundation
import NIOConcurrencyHelpers
import TestSupport
import Testing

@Suite("FUSE, as the kernel shows it", .enabled(if: FuseMount.isPossible, "\(FuseMount.reason)"))
struct FuseFilesystemTests {
    /// A file of random bytes, a multiple of 4096.
    private func sample(_ directory: TemporaryDirectory, pages: Int) throws -> FileDevice {
        var generator = SeededGenerator(seed: 8)
        try directory.write("sample", generator.bytes(pages * 4096))
        return try FileDevice(directory("sample"))
    }

    @Test func aDeviceIsAFile() async throws {
        let mount = try FuseMount()
        let device = try sample(mount.directory, pages: 700)
        let filesystem = try mount.serve()
        try filesystem.insert(device, name: "one", number: 2)
        try filesystem.expect(3, name: "two", byteCount: 8192)
        try await onThread {
            #expect(try FileManager.default.contentsOfDirectory(atPath: mount.path).sorted() == ["one", "two"])
            let status = try OpenFile.open(mount.file("one")).status()
            #expect(status.kind == .regular && status.permissions == 0o400 && status.size == 700 * 4096)
            #expect(try OpenFile.open(mount.path, .directory).status().permissions == 0o500)
            #expect(try OpenFile.open(mount.file("two")).status().size == 8192)
            #expect(
                try Data(contentsOf: URL(fileURLWithPath: mount.file("one"))) == Data(mount.directory.bytes("sample")))
            for flags in [OpenFlags.writeOnly, .readWrite, .newFile] {
                #expect(throws: Errno.readOnlyFilesystem) {
                    try Descriptor.workingDirectory.open(mount.file(flags == .newFile ? "new" : "one"), flags)
                }
            }
            #expect(throws: Errno.noSuchFile) { try Descriptor.workingDirectory.open(mount.file("three"), []) }
        }
        #expect(try SystemMount.entry(at: mount.path)?.type == "fuse.layercache")
        try await mount.unmount()
        try await filesystem.stop()
    }

    /// Any offset and size, at the end of the file and beyond, from eight threads, with and without the page cache.
    @Test(arguments: [(1, false), (3, false), (1, true), (3, true)])
    func piecesAreThoseOfTheFile(_ descriptors: Int, _ isDirect: Bool) async throws {
        let mount = try FuseMount(descriptors: descriptors)
        let device = try sample(mount.directory, pages: 1111)
        let filesystem = try mount.serve(threads: 3)
        try filesystem.insert(HalfDevice(device: device), name: "device", number: 7)
        let seed = SeededGenerator().seed
        let size = Int(device.byteCount)
        try await withThrowingTaskGroup(of: Void.self) { group in
            for index in 0..<8 {
                group.addTask {
                    try await onThread {
                        var generator = SeededGenerator(seed: seed &+ UInt64(index))
                        let file = try OpenFile.open(mount.file("device"), isDirect ? .direct : [])
                        for _ in 0..<60 {
                            let unit = isDirect ? 4096 : 1
                            let offset = Int.random(in: 0...(size + 9000) / unit, using: &generator) * unit
                            let most = Bool.random(using: &generator) ? 8192 : 3 << 20
                            let count = Int.random(in: 1...most / unit, using: &generator) * unit
                            let got = try piece(of: file, at: offset, count)
                            let wanted = try piece(of: device.file, at: offset, count)
                            #expect(got == wanted, "seed \(seed): \(count) bytes at \(offset)")
                        }
                    }
                }
            }
            try await group.waitForAll()
        }
        try await mount.unmount()
        try await filesystem.stop()
    }

    @Test func holesAreFound() async throws {
        let mount = try FuseMount()
        let filesystem = try mount.serve()
        try filesystem.insert(StripedDevice(stripes: 16), name: "striped", number: 2)
        let found = try await onThread {
            try mount.directory.python(
                """
                import os
                f = os.open("\(mount.file("striped"))", os.O_RDONLY)
                size, place, out = os.fstat(f).st_size, 0, []
                while True:
                    try: place = os.lseek(f, place, os.SEEK_DATA)
                    except OSError as error: out.append(error.errno); break
                    end = os.lseek(f, place, os.SEEK_HOLE)
                    out.append((place, end)); place = end
                print(out)
                """)
        }
        let data = stride(from: 0, to: 16, by: 2).map {
            "(\($0 * StripedDevice.stripe), \(($0 + 1) * StripedDevice.stripe))"
        }
        #expect(found == "[\(data.joined(separator: ", ")), 6]\n")
        try await mount.unmount()
        try await filesystem.stop()
    }

    /// Removed while it is open: reads fail, the name is gone, and another device can have it.
    @Test func whatIsRemovedIsGone() async throws {
        let mount = try FuseMount()
        let device = try sample(mount.directory, pages: 20)
        let filesystem = try mount.serve()
        try filesystem.insert(device, name: "device", number: 2)
        let file = try await onThread { try OpenFile.open(mount.file("device")) }
        #expect(throws: CacheError.self) { try filesystem.insert(device, name: "device", number: 3) }
        #expect(throws: CacheError.self) { try filesystem.insert(device, name: "other", number: 2) }
        try filesystem.remove(2)
        try filesystem.remove(2)
        try await onThread {
            #expect(throws: Errno.ioError) { try piece(of: file, at: 0, 4096) }
            #expect(throws: Errno.noSuchFile) { try Descriptor.workingDirectory.open(mount.file("device"), []) }
        }
        try filesystem.insert(device, name: "device", number: 3)
        let size = try await onThread { try OpenFile.open(mount.file("device")).status().size }
        #expect(size == 20 * 4096)
        #expect(throws: Errno(rawValue: EBUSY)) { try SystemMount.unmount(mount.path) }
        _ = consume file
        try await mount.unmount()
        try await filesystem.stop()
    }

    @Test func anUnmountIsTold() async throws {
        let mount = try FuseMount()
        let told = NIOLockedValueBox<[String?]>([])
        var events = FuseFilesystem.Events()
        events.ended = { reason in told.withLockedValue { $0.append(reason) } }
        let filesystem = try mount.serve(threads: 4, events: events)
        try await mount.unmount()
        try await eventually("an end") { told.withLockedValue { !$0.isEmpty } }
        try await filesystem.stop()
        #expect(told.withLockedValue { $0 } == [nil])
    }
}
