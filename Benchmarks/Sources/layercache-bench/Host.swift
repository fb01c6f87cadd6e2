import Foundation

/// What this machine lets a case do, and what a case does to it.
enum Host {
    /// Why images cannot be mounted here; `nil` where they can.
    static var mountObstacle: String? {
        if geteuid() != 0 { return "mounting needs root" }
        if access("/dev/fuse", R_OK | W_OK) != 0 { return "there is no /dev/fuse" }
        return nil
    }

    /// Forgets every page, name and inode that no one changed: what is read next comes from the disk.
    static func dropCaches() throws {
        sync()
        guard let file = FileHandle(forWritingAtPath: "/proc/sys/vm/drop_caches") else {
            throw BenchError("cannot write /proc/sys/vm/drop_caches: page caches cannot be dropped without root")
        }
        defer { try? file.close() }
        try file.write(contentsOf: Data("3\n".utf8))
    }

    /// Mounts an EROFS file read-only. mount(2) has the kernel read the file itself; mount(8) would put a loop device
    /// in between.
    static func mountErofs(_ file: String, at directory: String) throws {
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        guard mount(file, directory, "erofs", UInt(MS_RDONLY), nil) == 0 else {
            throw BenchError("cannot mount \(file) as EROFS: \(String(cString: strerror(errno)))")
        }
    }

    /// Takes a mount away, also one that is in use.
    static func unmount(_ directory: String) {
        if umount2(directory, 0) != 0 { umount2(directory, Int32(MNT_DETACH)) }
    }

    /// Seconds of CPU that a process has used, all of its threads; 0 once it is gone.
    static func cpuSeconds(of pid: Int32) -> Double {
        let text = (try? String(contentsOfFile: "/proc/\(pid)/stat", encoding: .utf8)) ?? ""
        // The name in parentheses may hold anything; behind it, utime and stime are fields 14 and 15 of the line.
        guard let end = text.lastIndex(of: ")") else { return 0 }
        let fields = text[text.index(after: end)...].split(separator: " ")
        guard fields.count > 12, let user = Double(fields[11]), let system = Double(fields[12]) else { return 0 }
        return (user + system) / Double(sysconf(Int32(_SC_CLK_TCK)))
    }
}
