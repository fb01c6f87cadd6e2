internal import Glibc

/// How a file is opened, `open(2)`; without any of them for reading. Always with `O_CLOEXEC`: no program that is
/// started inherits a file.
package struct OpenFlags: OptionSet, Sendable {
    package let rawValue: Int32

    package init(rawValue: Int32) { self.rawValue = rawValue }

    package static let writeOnly = OpenFlags(rawValue: O_WRONLY)
    package static let readWrite = OpenFlags(rawValue: O_RDWR)
    /// Makes the file if there is none.
    package static let create = OpenFlags(rawValue: O_CREAT)
    /// Makes the file; what is there already is an error.
    package static let createNew = OpenFlags(rawValue: O_CREAT | O_EXCL)
    /// Each write goes to the end, whoever else writes.
    package static let append = OpenFlags(rawValue: O_APPEND)
    /// Anything but a directory is an error.
    package static let directory = OpenFlags(rawValue: O_DIRECTORY)
    /// A symbolic link as the last name is an error; those before it are followed.
    package static let noFollow = OpenFlags(rawValue: O_NOFOLLOW)
    /// Does not wait for the other end of a pipe.
    package static let nonBlocking = OpenFlags(rawValue: O_NONBLOCK)
    /// Reads and writes go past the page cache, in whole blocks to memory on borders of blocks. O_DIRECT, which glibc
    /// shows only to those who define _GNU_SOURCE.
    #if arch(arm64) || arch(arm)
        package static let direct = OpenFlags(rawValue: 0o200000)
    #else
        package static let direct = OpenFlags(rawValue: 0o40000)
    #endif

    // Those that are often wanted together, put together once: some are used for every file of an image.

    /// A new file, to be written.
    package static let newFile = OpenFlags(rawValue: O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW)
    /// What stands under a name, to be read: no link is followed, and no other end is waited for.
    package static let entry = OpenFlags(rawValue: O_NOFOLLOW | O_NONBLOCK)
    /// A directory that is no symbolic link to one.
    package static let subdirectory = OpenFlags(rawValue: O_DIRECTORY | O_NOFOLLOW)
}
