import ArgumentParser
import CacheAgent
import CacheCore

/// Which worker a verb means.
struct SocketOption: ParsableArguments {
    @Option(
        name: .customLong("socket"),
        help: ArgumentHelp(
            "The worker's Unix socket (/run/layercache/worker.sock).",
            valueName: "path"))
    var socket: String?

    func path(_ settings: Settings) throws -> String {
        let standard = WorkerSocket.standardPath(
            isRoot: CurrentProcess.isRoot, runtimeDirectory: CurrentProcess.environment("XDG_RUNTIME_DIR"))
        guard let path = settings.value("socket", socket) ?? standard else {
            throw ValidationError("Missing --socket: XDG_RUNTIME_DIR is not set, so there is no usual place for it.")
        }
        guard path.utf8.count <= Self.mostBytes else {
            throw ValidationError(
                "--socket has \(path.utf8.count) bytes, a Unix socket's path at most \(Self.mostBytes).")
        }
        return try path.inWorkingDirectory()
    }

    /// `sun_path`, without its zero; the worker's directory makes it absolute.
    private static let mostBytes = 107
}

extension String {
    /// The same path for a process with another working directory.
    func inWorkingDirectory() throws -> String {
        // Nobody means the working directory itself by it: a variable is not set.
        if isEmpty { throw ValidationError("A path is empty: give one, or '.' for the working directory.") }
        return hasPrefix("/") ? self : "\(try DirectoryPath.resolved("."))/\(self)"
    }
}
