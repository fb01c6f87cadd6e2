import ArgumentParser
import CacheCore

/// `layercache`: one binary for workers, operators and ingest.
@main
struct LayerCacheCommand: AsyncParsableCommand {
    static let version = "0.1.0"

    static let configuration = CommandConfiguration(
        commandName: "layercache",
        abstract:
            "Starts containers, functions and microVMs from huge images: a three-tier, content-addressed layer cache.",
        discussion: """
            Every option with a value can also be given as LAYERCACHE_<OPTION> (LAYERCACHE_L1_CAPACITY for \
            --l1-capacity) or in the JSON
            file that --config names ({"l1-capacity": "10GiB"}); the command line wins, then the environment.
            Exit status: 0 done, 1 failed, 2 bad usage, 128 + N ended by signal N.
            """,
        version: version,
        subcommands: [
            PushCommand.self, PullCommand.self, ListCommand.self, InspectCommand.self, VerifyCommand.self,
            StatsCommand.self, WorkerCommand.self, MountCommand.self, UnmountCommand.self, TraceCommand.self,
            NBDCommand.self, ServerCommand.self, TokenCommand.self, KeygenCommand.self,
        ])

    static func main() {
        StandardDescriptors.occupy()
        SignalSet.ignoreFailedWrites()
        let command: any ParsableCommand
        do {
            // First of all: without /proc there are no arguments either.
            try Machine.prepare()
            command = try parseAsRoot(try ProcessArguments.checked())
        } catch { leave(with: error, of: self) }
        let type = type(of: command)
        let end: @Sendable ((any Error)?) -> Never = { error in
            // What was logged may still be on its way; but the end does not wait for a reader that is not there.
            LineSink.standardError.flush(within: 1)
            guard let error else { CurrentProcess.exit(0) }
            leave(with: error, of: type)
        }
        guard var verb = command as? any AsyncParsableCommand else {
            var other = command
            do { try other.run() } catch { end(error) }
            end(nil)
        }
        // Who shows images for weeks does nothing while nobody reads.
        if verb is WorkerCommand || verb is NBDCommand {
            // Threads begin now, and leave signals to the main one: a signal that they took would end the process.
            SignalSet().block()
            TaskThreads.install()
            Allocator.limitArenas()
            Allocator.mapLargeBlocks()
            PieceMemory.keepIdle(areas: 8)
        }
        // The daemons have signals of their own.
        if verb is ServerCommand { run({ try await verb.run() }, end: end) }
        if verb is WorkerCommand { WorkerSignals.run({ try await verb.run() }, end: end) }
        runUntilInterrupted({ try await verb.run() }, end: end)
    }

    /// One line on standard error and the exit status (docs/OPERATIONS.md, "Options").
    private static func leave(with error: any Error, of verb: any ParsableCommand.Type) -> Never {
        if let interruption = error as? Interruption {
            Terminal.complain("layercache: interrupted")
            CurrentProcess.exit(interruption.status)
        }
        let status = exitCode(for: error)
        if status == .success {
            do { try Terminal.say(fullMessage(for: error)) } catch { fail(error) }
            CurrentProcess.exit(0)
        }
        if status == .validationFailure {
            Terminal.complain(lines: usage(error, of: verb))
            CurrentProcess.exit(2)
        }
        if error is ExitCode { CurrentProcess.exit(1) }
        fail(error)
    }

    private static func fail(_ error: any Error) -> Never {
        let line = String("\(error)".map { $0.isNewline ? " " : $0 })
        Terminal.complain("layercache: \(line)")
        CurrentProcess.exit(1)
    }

    /// What a verb finds wrong once it runs, in the words of the parser, which would name the usage of the root.
    private static func usage(_ error: any Error, of verb: any ParsableCommand.Type) -> String {
        guard let error = error as? ValidationError, let name = verb.configuration.commandName, verb != self else {
            return fullMessage(for: error)
        }
        return """
            Error: \(error.message)
            Usage: \(usageString(for: verb).dropFirst(usageString(for: verb).hasPrefix("Usage: ") ? 7 : 0))
              See 'layercache \(name) --help' for more information.
            """
    }
}
