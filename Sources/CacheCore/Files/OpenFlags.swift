internal import Glibc

/// How a file is opened, `open(2)`; without any of them for reading. Always with `O_CLOEXEC`: no program that is started inherits a file.
package struct OpenFlags: OptionSet, Sendable {
    package let rawValue: Int32

    package init(rawValue: Int32) { self.rawValue = rawValue }

    package static var writeOnly: OpenFlags { OpenFlags(rawValue: O_WRONLY) }
    package static var readWrite: OpenFlags { OpenFlags(rawValue: O_RDWR) }
    /// Makes the file if there is none.
    package static var create: OpenFlags { OpenFlags(rawValue: O_CREAT) }
    /// Makes the file; what is there already is an error.
    package static var createNew: OpenFlags { OpenFlags(rawValue: O_CREAT | O_EXCL) }
    /// Anything but a directory is an error.
    package static var directory: OpenFlags { OpenFlags(rawValue: O_DIRECTORY) }
    /// A symbolic link as the last name is an error; those before it are followed.
    package static var noFollow: OpenFlags { OpenFlags(rawValue: O_NOFOLLOW) }
    /// Does not wait for the other end of a pipe.
    package static var nonBlocking: OpenFlags { OpenFlags(rawValue: O_NONBLOCK) }
}
