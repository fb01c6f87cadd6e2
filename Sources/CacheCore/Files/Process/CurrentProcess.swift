package import CacheBase
internal import Glibc

/// This process, to the system.
package enum CurrentProcess {
    /// Its number, in its own PID namespace.
    package static var number: Int32 { getpid() }

    /// A variable of its environment.
    package static func environment(_ name: String) -> String? { getenv(name).map { String(cString: $0) } }

    /// All variables of its environment, each as the bytes `NAME=VALUE`, which need not be UTF-8.
    package static func environment() -> [FileName] {
        var variables: [FileName] = []
        var next = environ
        while let variable = next.pointee {
            variables.append(FileName(cString: variable))
            next += 1
        }
        return variables
    }

    /// Whether it acts for root.
    package static var isRoot: Bool { geteuid() == 0 }

    /// The number of the user that it acts for.
    package static var user: UInt32 { geteuid() }

    /// Whether it may mount filesystems, `CAP_SYS_ADMIN` of capabilities(7), in its user namespace; true where the
    /// kernel does not say.
    package static var canMount: Bool {
        guard let file = try? OpenFile.open("/proc/self/status"),
            let set = Self.field("CapEff", of: file).flatMap({ UInt64($0, radix: 16) })
        else { return true }
        return set & administration != 0
    }

    private static let administration: UInt64 = 1 << 21

    /// A field of a file of `/proc` that has one a line, `NAME:\tVALUE`, in its first 16 KiB.
    private static func field(_ name: String, of file: OpenFile) -> Substring? {
        withUnsafeTemporaryAllocation(byteCount: 16_384, alignment: 1) { buffer in
            guard let count = try? file.descriptor.read(into: buffer) else { return nil }
            let lines = String(decoding: buffer[..<count], as: UTF8.self).split(separator: "\n")
            return lines.first { $0.hasPrefix("\(name):") }.map { line in
                line.dropFirst(name.count + 1).drop { $0 == "\t" || $0 == " " }
            }
        }
    }

    /// The file of the program that it runs: the path that it was started by, also where that file was replaced since.
    package static func executable() throws(CacheError) -> String {
        let path = try reporting("find this program's file") { () throws(Errno) in
            try Descriptor.workingDirectory.target(ofLink: "/proc/self/exe")
        }
        let text = path.description
        return text.hasSuffix(Self.removed) ? String(text.dropLast(Self.removed.count)) : text
    }

    /// What Linux adds to the name of a file that has none any more.
    private static let removed = " (deleted)"

    /// Files and directories that are made from now on are for its user alone.
    package static func makePrivateFiles() { umask(0o077) }

    /// Its working directory is `/` from now on: it keeps no other filesystem from being unmounted.
    package static func enterRoot() throws(CacheError) {
        try reporting("change to the directory /") { () throws(Errno) in try retrying { chdir("/") } }
    }

    // MARK: Its end

    /// Ends it, after what was left for its end (`atexit`).
    package static func exit(_ status: Int32) -> Never { Glibc.exit(status) }

    /// Ends it at once, whatever its threads hang in.
    package static func exitAtOnce(_ status: Int32) -> Never { _exit(status) }

    /// Has `body` run when it ends by ``exit(_:)``. May be called a few times only.
    /// - Parameter body: must not capture anything.
    package static func atExit(_ body: @convention(c) () -> Void) { _ = atexit(body) }

    /// Keeps the calling thread for good.
    package static func parkThread() -> Never {
        while true { pause() }
    }
}
