internal import Glibc

/// The number of an open file, and the system calls on it: the one place in which they are made.
///
/// Only a number, which may be copied and closes nothing: ``OpenFile`` owns one and closes it. Calls block, are made
/// again when a signal interrupts them, allocate nothing, and throw ``Errno``. Names and paths are C strings; a
/// `String` is taken as well. A relative path begins at the directory whose descriptor it is.
package struct Descriptor: Hashable, Sendable {
    package let rawValue: Int32

    package init(rawValue: Int32) { self.rawValue = rawValue }

    package static var standardInput: Descriptor { Descriptor(rawValue: STDIN_FILENO) }
    package static var standardOutput: Descriptor { Descriptor(rawValue: STDOUT_FILENO) }
    package static var standardError: Descriptor { Descriptor(rawValue: STDERR_FILENO) }
    /// Stands for the process's working directory where an open directory is asked for: for paths that the user gave.
    package static var workingDirectory: Descriptor { Descriptor(rawValue: AT_FDCWD) }

    /// Closes the file. To be called once, by its owner, who does not use it again: the number may soon be another
    /// file's.
    ///
    /// An error is not told: what must be on the disk is brought there by ``sync()``.
    package func close() { _ = Glibc.close(rawValue) }

    // MARK: What is open

    /// What the open file is.
    package func status() throws(Errno) -> FileStatus {
        var status = stat()
        try retrying { fstat(rawValue, &status) }
        return FileStatus(status)
    }

    /// Whether it is a terminal.
    package var isTerminal: Bool { isatty(rawValue) == 1 }

    /// Columns of the terminal; `nil` if it does not say, or is none.
    package var terminalColumns: Int? {
        // struct winsize: rows, columns, and two that are not filled in.
        var size: (rows: UInt16, columns: UInt16, UInt16, UInt16) = (0, 0, 0, 0)
        guard ioctl(rawValue, UInt(TIOCGWINSZ), &size) == 0, size.columns > 0 else { return nil }
        return Int(size.columns)
    }

    // MARK: Bytes

    /// Reads once, where the file stands.
    /// - Returns: how many bytes; 0 at the end.
    package func read(into buffer: UnsafeMutableRawBufferPointer) throws(Errno) -> Int {
        try retrying { Glibc.read(rawValue, buffer.baseAddress, buffer.count) }
    }

    /// Reads once, at `offset`.
    /// - Returns: how many bytes; 0 at the end.
    package func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int) throws(Errno) -> Int {
        try retrying { pread(rawValue, buffer.baseAddress, buffer.count, off_t(offset)) }
    }

    /// Reads at `offset` until `buffer` is full or the file ends.
    /// - Returns: how many bytes; fewer than there is room for only at the end of the file.
    package func readAll(into buffer: UnsafeMutableRawBufferPointer, at offset: Int) throws(Errno) -> Int {
        var done = 0
        while done < buffer.count {
            let rest = UnsafeMutableRawBufferPointer(rebasing: buffer[done...])
            let count = try read(into: rest, at: offset + done)
            if count == 0 { break }
            done += count
        }
        return done
    }

    /// Writes once, where the file stands, and may be interrupted by a signal: for what must look around meanwhile.
    /// - Returns: how many bytes.
    package func write(_ bytes: UnsafeRawBufferPointer) throws(Errno) -> Int {
        let count = Glibc.write(rawValue, bytes.baseAddress, bytes.count)
        if count < 0 { throw Errno.current }
        return count
    }

    /// Writes once, at `offset`.
    /// - Returns: how many bytes; fewer than there are on a full disk.
    package func write(_ bytes: UnsafeRawBufferPointer, at offset: Int) throws(Errno) -> Int {
        try retrying { pwrite(rawValue, bytes.baseAddress, bytes.count, off_t(offset)) }
    }

    /// Writes all of `bytes`, where the file stands.
    package func writeAll(_ bytes: UnsafeRawBufferPointer) throws(Errno) {
        var rest = bytes
        while !rest.isEmpty {
            let count = try retrying { Glibc.write(rawValue, rest.baseAddress, rest.count) }
            rest = UnsafeRawBufferPointer(rebasing: rest[count...])
        }
    }

    /// Writes all of `bytes`, at `offset`.
    package func writeAll(_ bytes: UnsafeRawBufferPointer, at offset: Int) throws(Errno) {
        var done = 0
        while done < bytes.count {
            done += try write(UnsafeRawBufferPointer(rebasing: bytes[done...]), at: offset + done)
        }
    }

    // MARK: Room

    /// Goes to its end, and says where that is: the size of a file or of a block device.
    package func seekToEnd() throws(Errno) -> Int {
        Int(try retrying { lseek(rawValue, 0, SEEK_END) })
    }

    /// The next bytes are written at `offset`.
    func seek(to offset: Int) throws(Errno) {
        try retrying { lseek(rawValue, off_t(offset), SEEK_SET) }
    }

    /// Makes the file `size` bytes long: cuts it off, or adds a hole.
    package func truncate(to size: Int) throws(Errno) {
        try retrying { ftruncate(rawValue, off_t(size)) }
    }

    /// Makes what was written survive a crash, `fsync(2)`. For a directory: the names in it.
    package func sync() throws(Errno) {
        try retrying { fsync(rawValue) }
    }
}
