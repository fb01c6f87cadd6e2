internal import CLinux
internal import Glibc

/// The open files of a thread.
package enum DescriptorTable {
    /// CLONE_FILES, which glibc shows only to those who define _GNU_SOURCE.
    private static let cloneFiles: Int32 = 0x400

    /// The calling thread gives up all open files of the process but the standard three, and shares none with it from
    /// now on.
    ///
    /// For a thread whose system call may outlast the process: killed while the kernel waits for an answer of the very
    /// process, it stays for as long as nobody answers, and keeps open what it shares. So those who wait for the end of
    /// the process's sockets, and for its locks, do not wait for that call.
    package static func leave() throws(Errno) {
        try retrying { unshare(cloneFiles) }
        try retrying { close_range(3, UInt32.max, 0) }
    }
}
