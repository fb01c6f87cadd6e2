import CacheCore
import CacheFiles
import Foundation
import TestSupport
import Testing

@testable import CacheDevice

@Suite(
    "EROFS on a file of FUSE",
    .enabled(if: FuseMount.isPossible, "\(FuseMount.reason)"),
    .enabled(if: BuiltProgram.isInstalled("mkfs.erofs"), "mkfs.erofs is not installed: apt-get install erofs-utils"))
struct FuseErofsTests {
    @Test func theTreeIsTheSame() async throws {
        let mount = try FuseMount()
        try mount.directory.shell(
            """
            mkdir -p tree/a/b tree/many image
            for i in $(seq 400); do echo "$i" > "tree/many/$i"; done
            head -c 30000001 /dev/urandom > tree/big
            head -c 4097 /dev/urandom > tree/a/b/small
            ln tree/big tree/a/linked; ln -s ../big tree/a/symbolic; : > tree/empty
            mkfs.erofs image.erofs tree > /dev/null
            truncate -s %4096 image.erofs
            """)
        let filesystem = try mount.serve(threads: 4)
        let device = HalfDevice(device: try FileDevice(mount.directory("image.erofs")))
        try filesystem.insert(device, name: "device", number: 2)
        let target = mount.directory("image")
        do {
            try await onThread {
                try SystemMount.mount(source: mount.file("device"), target: target, type: "erofs", flags: .readOnly)
            }
        } catch let error as Errno where error == .noDevice || error.rawValue == ENOTBLK {
            withKnownIssue("this kernel mounts no EROFS from a file") { throw error }
            try await mount.unmount()
            return try await filesystem.stop()
        }
        defer { try? SystemMount.unmount(target, flags: .detach) }
        let differences = try await onThread {
            try mount.directory.shell("diff -r --no-dereference tree image && (cd image && find . -ls | wc -l)")
        }
        #expect(differences == "409\n")
        try await onThread { try SystemMount.unmount(target) }
        try await mount.unmount()
        try await filesystem.stop()
    }

    private static let hasLoop = access("/dev/loop-control", R_OK | W_OK) == 0

    /// As on a kernel that mounts EROFS from devices only.
    @Test(.enabled(if: hasLoop, "needs /dev/loop-control")) func aLoopDeviceGoesWithItsMount() async throws {
        let mount = try FuseMount()
        try mount.directory.shell(
            """
            mkdir -p tree image
            head -c 3000001 /dev/urandom > tree/big; echo hello > tree/hello
            mkfs.erofs image.erofs tree > /dev/null
            truncate -s %4096 image.erofs
            """)
        let filesystem = try mount.serve(threads: 4)
        try filesystem.insert(try FileDevice(mount.directory("image.erofs")), name: "device", number: 2)
        let (device, target) = (mount.file("device"), mount.directory("image"))
        try await onThread { try ErofsMount.mountByLoop(device, at: target) }
        defer { try? SystemMount.unmount(target, flags: .detach) }
        #expect(try await onThread { try mount.directory.shell("diff -r tree image && cat image/hello") } == "hello\n")
        let source = try #require(try SystemMount.entry(at: target)).source.description
        #expect(LoopDevice.backingFile(of: source) == device)
        // A worker that takes over knows it for its own.
        #expect(try MountedImages(devices: mount.path, scratch: mount.directory("scratch")).has(target))
        let mounter = ImageMounter(deadlines: Deadlines())
        defer { mounter.close() }
        try await mounter.unmount(target, scratch: nil)
        try await eventually("the end of the loop device") { LoopDevice.backingFile(of: source) != device }
        #expect(
            try await onThread { try mount.directory.shell("losetup --all --noheadings --output BACK-FILE") }
                .contains(mount.path) == false)
        try await mount.unmount()
        try await filesystem.stop()
    }
}
