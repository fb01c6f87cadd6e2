internal import CLinux
package import CacheBase
internal import Glibc

/// A program that is to be started with exactly the open files that it is given, `posix_spawn(3)`: all others close.
///
/// Signals are as they are for a program started by hand, whatever this process ignores or blocks.
package struct ChildSpawn: Sendable {
    /// An open file that the program gets under a number of its own.
    package struct Inheritance: Sendable {
        package let file: Descriptor
        /// The number in the program: 0 to 2 are its standard input, output and error.
        package let number: Int32

        package init(_ file: Descriptor, as number: Int32) {
            self.file = file
            self.number = number
        }
    }

    /// A path, or a name that is looked for in `PATH`.
    package var program: String
    package var arguments: [String]
    /// Variables, each `NAME=VALUE`; those of this process by default.
    package var environment: [FileName] = CurrentProcess.environment()
    /// What it gets besides standard input, output and error, which it shares with this process unless they are here.
    package var files: [Inheritance] = []
    /// Whether it gets a session of its own, so that no signal of a terminal reaches it.
    package var hasOwnSession = false

    package init(program: String, arguments: [String]) {
        self.program = program
        self.arguments = arguments
    }

    /// Starts it. Whoever starts it waits for its end (``SpawnedProcess/wait()``), else it stays as a zombie.
    ///
    /// - Throws: `.io` that names the program, if it cannot be run.
    package func start() throws(CacheError) -> SpawnedProcess {
        try reporting("start \(program)") { () throws(Errno) in
            // Copies above all numbers that are given: none is overwritten before it has been given.
            let firstFree = (files.map(\.number).max() ?? 2) + 1
            var copies: [Descriptor] = []
            defer { copies.forEach { $0.close() } }
            for inheritance in files {
                let copy = try retrying { fcntl(inheritance.file.rawValue, F_DUPFD_CLOEXEC, firstFree) }
                copies.append(Descriptor(rawValue: copy))
            }
            // This package opens each file so, but NIO does not: a listening socket that another program holds takes
            // connections that nobody serves.
            try retrying { close_range(3, .max, Self.onExecution) }
            return SpawnedProcess(number: try spawn(copies))
        }
    }

    private func spawn(_ copies: [Descriptor]) throws(Errno) -> Int32 {
        var actions = posix_spawn_file_actions_t()
        try Self.check(posix_spawn_file_actions_init(&actions))
        defer { posix_spawn_file_actions_destroy(&actions) }
        for (copy, inheritance) in zip(copies, files) {
            try Self.check(posix_spawn_file_actions_adddup2(&actions, copy.rawValue, inheritance.number))
        }
        var attributes = posix_spawnattr_t()
        try Self.check(posix_spawnattr_init(&attributes))
        defer { posix_spawnattr_destroy(&attributes) }
        var signals = sigset_t()
        sigemptyset(&signals)
        posix_spawnattr_setsigmask(&attributes, &signals)
        sigfillset(&signals)
        posix_spawnattr_setsigdefault(&attributes, &signals)
        var flags = POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK
        if hasOwnSession { flags |= Self.ownSession }
        posix_spawnattr_setflags(&attributes, Int16(flags))
        var argumentPointers = ([program] + arguments).map { strdup($0) } + [nil]
        var environmentPointers = environment.map { $0.withCString { strdup($0) } } + [nil]
        defer { (argumentPointers + environmentPointers).forEach { free($0) } }
        var child: pid_t = 0
        try Self.check(posix_spawnp(&child, program, &actions, &attributes, &argumentPointers, &environmentPointers))
        return child
    }

    /// POSIX_SPAWN_SETSID, which glibc shows only to those who define _GNU_SOURCE.
    private static let ownSession: Int32 = 0x80

    /// CLOSE_RANGE_CLOEXEC, of Linux 5.11.
    private static let onExecution: Int32 = 4

    private static func check(_ number: Int32) throws(Errno) {
        if number != 0 { throw Errno(rawValue: number) }
    }
}
