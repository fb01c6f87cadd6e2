internal import Glibc

/// Standard input, output and error.
package enum StandardDescriptors {
    /// Occupies those that the process was started without: a file that is opened later would get the number, and what
    /// is meant for people would be written into it. The direction is the wrong one on purpose, so that their use stays
    /// an error.
    package static func occupy() {
        for number in [STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO] where fcntl(number, F_GETFD) == -1 {
            _ = open("/dev/null", number == STDIN_FILENO ? O_WRONLY : O_RDONLY)
        }
    }

    /// Has standard error go to another file. Best effort: without it, what is said there is lost.
    package static func replaceError(by file: Descriptor) { _ = dup2(file.rawValue, STDERR_FILENO) }
}
