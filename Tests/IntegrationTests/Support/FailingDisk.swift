import Foundation
import Glibc
import TestSupport
import Testing

/// A disk that fails when it is told to: ext4 on a loop device, whose file is nbdkit's, shown by nbdfuse. The kernel,
/// the filesystem and LMDB see what they see of a disk that dies.
final class FailingDisk: Sendable {
    static let isPossible =
        geteuid() == 0 && access("/dev/fuse", R_OK | W_OK) == 0 && access("/dev/loop-control", R_OK | W_OK) == 0
        && ["nbdkit", "nbdfuse", "mkfs.ext4", "losetup"].allSatisfy(BuiltProgram.isInstalled)
    static let needs = "needs root, /dev/fuse, loop devices, nbdkit, nbdfuse and mkfs.ext4"

    enum Fault: String, CaseIterable {
        /// Reads, or writes, end with EIO.
        case read, write
        /// It reads and writes a megabyte a second.
        case slow
        /// Nothing is answered.
        case silent
    }

    /// Where it is mounted.
    let path: String
    private let bench: Workbench
    private let server: ChildProcess
    private let file: ChildProcess

    /// Mounts one of 64 MiB on a directory that is made for it.
    ///
    /// - Parameter name: of the directory, and the beginning of the names of other files there.
    init(_ bench: Workbench, _ name: String) async throws {
        let path = bench(name)
        self.path = path
        self.bench = bench
        let device = "\(path).device"
        // Without what mkfs leaves to be written later: a disk is quiet unless a test writes.
        try await bench.shell(
            """
            mkdir \(name); : > \(name).device; echo 100G > \(name).rate; truncate -s 64M \(name).raw
            mkfs.ext4 -q -b 4096 -m 0 -J size=4 -E lazy_itable_init=0,lazy_journal_init=0,nodiscard \(name).raw
            """)
        let faults = ["pread": Fault.read, "pwrite": .write, "zero": .write, "trim": .write].flatMap { call, fault in
            ["error-\(call)=EIO", "error-\(call)-rate=100%", "error-\(call)-file=\(Self.switchFile(path, fault))"]
        }
        server = try ChildProcess(
            "nbdkit",
            [
                "--foreground", "--unix", "\(path).socket", "--filter=error", "--filter=rate", "file", "\(path).raw",
                "rate-file=\(path).rate",
            ] + faults, in: bench(".out"))
        try await eventually("nbdkit") { FileStatus("\(path).socket") != nil }
        file = try ChildProcess("nbdfuse", [device, "nbd+unix:///?socket=\(path).socket"], in: bench(".out"))
        try await eventually("nbdfuse") { (FileStatus(device)?.byteCount ?? 0) > 0 }
        try await mount()
    }

    private func mount() async throws {
        // Direct: what the device has read it does not remember. It goes with its mount.
        try await bench.shell(
            """
            device=$(losetup --find --show --direct-io=on '\(path).device')
            trap 'losetup --detach "$device"' EXIT
            mount -o errors=remount-ro,noatime "$device" '\(path)'
            """)
    }

    deinit {
        // One that is stopped answers no unmounting.
        server.signal(SIGCONT)
        for fault in [Fault.read, .write] { unlink(Self.switchFile(path, fault)) }
        umount2(path, Int32(MNT_DETACH))
        umount2("\(path).device", Int32(MNT_DETACH))
    }

    private static func switchFile(_ path: String, _ fault: Fault) -> String { "\(path).fails-to-\(fault.rawValue)" }

    /// From now on it has this fault.
    func begin(_ fault: Fault) async throws {
        switch fault {
        case .read, .write: try Data().write(to: URL(fileURLWithPath: Self.switchFile(path, fault)))
        case .slow: try Data("8M".utf8).write(to: URL(fileURLWithPath: "\(path).rate"))
        case .silent: try await server.stop()
        }
    }

    /// It has the fault no more, and all that it had.
    func end(_ fault: Fault) throws {
        switch fault {
        case .read, .write: try FileManager.default.removeItem(atPath: Self.switchFile(path, fault))
        case .slow: try Data("100G".utf8).write(to: URL(fileURLWithPath: "\(path).rate"))
        case .silent: server.signal(SIGCONT)
        }
    }

    /// Has the kernel read it anew, but for what has not been written yet, and what a process has mapped and looked at.
    func forget() async throws {
        try await bench.python(
            """
            for place, _, names in os.walk('\(path)'):
                for name in names:
                    with open(place + '/' + name, 'rb') as f:
                        os.posix_fadvise(f.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            """)
    }

    /// Mounts it again, as an operator does with a filesystem that the kernel has made read-only.
    func mountAgain() async throws {
        try await bench.shell("umount '\(path)'")
        try await mount()
    }
}
