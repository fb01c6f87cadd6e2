extension TemporaryDirectory {
    /// Runs a script of bash in the directory, which ends at the first command that fails, and returns what it prints.
    /// Blocks.
    ///
    /// Texts are sorted by their bytes and times are in UTC, whatever the machine's own settings are.
    @discardableResult
    package func shell(_ script: String) throws -> String {
        try run("/bin/bash", ["-euo", "pipefail", "-c", script])
    }

    /// Runs a program of Python in the directory and returns what it prints. Blocks.
    @discardableResult
    package func python(_ program: String) throws -> String { try run("python3", ["-c", program]) }

    private func run(_ program: String, _ arguments: [String]) throws -> String {
        try ChildProcess(program, arguments, environment: ["LC_ALL": "C.UTF-8", "TZ": "UTC"], workingDirectory: path)
            .blockUntilEnd().succeeded()
    }
}
