internal import CLinux
package import CacheBase
internal import Glibc
internal import NIOPosix

/// Where mounts are made and seen, mount_namespaces(7): that of this process, or another one.
///
/// A service that its manager keeps apart from the host's files has a namespace of its own, out of which no mount gets.
/// It makes its mounts in the manager's, which is the host's and was handed to it.
package final class MountNamespace: Sendable {
    /// That of this process.
    package static let own = MountNamespace()

    private let file: OpenFile?
    private let threads: NIOThreadPool

    private init() {
        file = nil
        threads = .singleton
    }

    /// - Parameter file: `/proc/PID/ns/mnt` of a process in the namespace. Until ``close()`` it has two threads there.
    package init(_ file: OpenFile) {
        self.file = file
        threads = NIOThreadPool(numberOfThreads: 2)
        threads.start()
    }

    /// Lets its threads end.
    package func close() { if file != nil { threads.shutdownGracefully { _ in } } }

    /// The namespace of the program that has started this one.
    ///
    /// - Throws: `.io` for a program with rights that this process does not have, unless that has `CAP_SYS_PTRACE`.
    package static func ofParent() throws(CacheError) -> OpenFile {
        try OpenFile.open("/proc/\(getppid())/ns/mnt")
    }

    /// CLONE_FS and CLONE_NEWNS, which glibc shows only to those who define _GNU_SOURCE.
    private static let cloneFilesystem: Int32 = 0x200
    private static let newNamespace: Int32 = 0x20000

    /// The calling thread sees the files of the namespace from now on, and shares neither working directory nor umask
    /// with the process: it is of no use for anything else. Costs microseconds; once more is no error.
    ///
    /// - Throws: `.io` without `CAP_SYS_ADMIN` and `CAP_SYS_CHROOT`.
    package func enter() throws(CacheError) {
        guard let file else { return }
        try reporting("enter the host's mount namespace (with CAP_SYS_ADMIN and CAP_SYS_CHROOT)") { () throws(Errno) in
            try retrying { unshare(Self.cloneFilesystem) }
            try retrying { setns(file.descriptor.rawValue, Self.newNamespace) }
        }
    }

    /// As ``enter()``, and the thread shares no open file with the process (``DescriptorTable/leave(keeping:)``).
    package func enterAlone() throws(CacheError) {
        try reporting("have a thread of its own for mounting") { () throws(Errno) in
            try DescriptorTable.leave(keeping: file?.descriptor)
        }
        try enter()
    }

    /// Runs `body`, which may block, on a thread that sees the files of the namespace and has the open files of the
    /// process.
    package func run<Value: Sendable>(_ body: @escaping @Sendable () throws -> Value) async throws -> Value {
        try await threads.runIfActive { [self] in
            try enter()
            return try body()
        }
    }
}
