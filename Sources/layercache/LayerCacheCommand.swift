import ArgumentParser
import CacheCore
import Glibc

/// `layercache`: one binary for workers, operators and ingest.
@main
struct LayerCacheCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "layercache",
        abstract:
            "Starts containers, functions and microVMs from huge images: a three-tier, content-addressed layer cache.",
        discussion: """
            Every option can also be given as LAYERCACHE_<OPTION> (LAYERCACHE_L1_CAPACITY for --l1-capacity) or in the JSON file that
            --config names ({"l1-capacity": "10GiB"}); the command line wins, then the environment.
            Exit status: 0 done, 1 failed, 2 bad usage.
            """,
        subcommands: [
            PushCommand.self, PullCommand.self, ListCommand.self, InspectCommand.self, VerifyCommand.self,
            StatsCommand.self, ServerCommand.self, KeygenCommand.self,
        ])

    static func main() async {
        // A peer that goes away must be an error of a write, not the end of the process.
        signal(SIGPIPE, SIG_IGN)
        do {
            var command = try parseAsRoot()
            if var asynchronous = command as? any AsyncParsableCommand {
                try await asynchronous.run()
            } else {
                try command.run()
            }
        } catch {
            leave(with: error)
        }
    }

    /// One line on standard error and the exit status of the contract.
    private static func leave(with error: any Error) -> Never {
        let status = exitCode(for: error)
        if status == .success {
            print(fullMessage(for: error))
            Glibc.exit(0)
        }
        if status == .validationFailure {
            Terminal.complain(fullMessage(for: error))
            Glibc.exit(2)
        }
        if !(error is ExitCode) {
            let line = String("\(error)".map { $0.isNewline ? " " : $0 })
            Terminal.complain("layercache: \(line)")
        }
        Glibc.exit(1)
    }
}
