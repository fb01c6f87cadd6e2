import Glibc

/// What `posix_spawn` is told of a new process.
struct ProcessLaunch {
    struct Failure: Error, CustomStringConvertible {
        let description: String
    }

    let program: String
    let arguments: [String]
    let environment: [String: String]
    let outputPath: String
    let errorPath: String
    let workingDirectory: String?

    /// A shell changes the directory where one is asked for: Swift does not see `posix_spawn_file_actions_addchdir_np`.
    private var commandLine: [String] {
        let enter = workingDirectory.map { ["/bin/sh", "-c", "cd \"$0\" && exec \"$@\"", $0] } ?? []
        return enter + [program] + arguments
    }

    /// Starts it; its number.
    func start() throws -> pid_t {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_addopen(&actions, 1, outputPath, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
        posix_spawn_file_actions_addopen(&actions, 2, errorPath, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
        // Signals as at a terminal, even if these tests run in a shell's background, where some are ignored.
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        var signals = sigset_t()
        sigemptyset(&signals)
        for number in [SIGINT, SIGTERM, SIGHUP, SIGQUIT] { sigaddset(&signals, number) }
        posix_spawnattr_setsigdefault(&attributes, &signals)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGDEF))
        let words = commandLine
        var argumentPointers = words.map { strdup($0) } + [nil]
        var environmentPointers = environment.map { strdup("\($0.key)=\($0.value)") } + [nil]
        defer { (argumentPointers + environmentPointers).forEach { free($0) } }
        var child: pid_t = 0
        let number = posix_spawnp(&child, words[0], &actions, &attributes, &argumentPointers, &environmentPointers)
        guard number == 0 else { throw Failure(description: "\(program): \(String(cString: strerror(number)))") }
        return child
    }
}
