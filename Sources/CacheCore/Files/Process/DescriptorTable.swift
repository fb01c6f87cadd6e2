internal import CLinux
internal import Glibc

/// The open files of a thread.
package enum DescriptorTable {
    /// CLONE_FILES, which glibc shows only to those who define _GNU_SOURCE.
    private static let cloneFiles: Int32 = 0x400

    /// The calling thread gives up all open files of the process but the standard three and `kept`, and shares none
    /// with it from now on.
    ///
    /// For a thread whose system call may outlast the process: killed while the kernel waits for an answer of the very
    /// process, it stays for as long as nobody answers, and keeps open what it shares. So those who wait for the end of
    /// the process's sockets, and for its locks, do not wait for that call.
    package static func leave(keeping kept: Descriptor? = nil) throws(Errno) {
        try retrying { unshare(cloneFiles) }
        guard let kept = kept.map({ UInt32($0.rawValue) }) else { return try close(3...UInt32.max) }
        if kept > 3 { try close(3...kept - 1) }
        try close(max(kept, 2) + 1...UInt32.max)
    }

    private static func close(_ numbers: ClosedRange<UInt32>) throws(Errno) {
        try retrying { close_range(numbers.lowerBound, numbers.upperBound, 0) }
    }
}
