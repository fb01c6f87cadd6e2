import ArgumentParser
import CacheAgent
import CacheClient
import CacheCore
import Logging

struct WorkerCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "worker", abstract: "Run this host's agent: it owns L1 and FUSE, and serves mounts.",
        discussion: """
            As a service (Type=notify) its service manager keeps the FUSE descriptors, else a second process does: \
            whichever is
            killed, mounts go on. SIGTERM unmounts what nothing uses, and ends when all is unmounted; a second one \
            detaches the rest.
            SIGHUP hands over to a new process.
            """)

    @OptionGroup var socket: SocketOption
    @Option(help: ArgumentHelp("Most bytes of decoded chunks in memory (64MiB).", valueName: "size"))
    var memory: String?
    @Option(
        help: ArgumentHelp(
            "Where mounts with --writable keep what is written; not on an overlayfs (beside the socket).",
            valueName: "dir"))
    var scratch: String?
    @Option(
        help: ArgumentHelp(
            "on or off: whether the first runs of an image are recorded, for others to fetch ahead by (on).",
            valueName: "on|off"))
    var record: String?
    @Flag(
        help: ArgumentHelp(
            "Give the service manager's mount namespace to the worker, which mounts there, and end (ExecStartPre=+)."))
    var storeNamespace = false
    @OptionGroup var logging: LogOption
    @Option(help: .hidden)
    var role: String?
    /// Started by another verb, with absolute paths: it keeps nothing of where that one ran, and logs to a file.
    @Flag(help: .hidden)
    var detached = false
    @OptionGroup var options: CommonOptions

    private static let roleOption = "--role"

    func run() async throws {
        SignalSet.forgetChildren()
        if storeNamespace { return try handNamespaceOver() }
        CurrentProcess.makePrivateFiles()
        if detached { try CurrentProcess.enterRoot() }
        let settings = try Settings(options)
        let place = WorkerPlace(
            socket: try socket.path(settings),
            scratch: try settings.value("scratch", scratch)?.inWorkingDirectory())
        // Bad usage is told before anything is made.
        let configuration = try configuration(settings)
        let records = try records(settings)
        let level = try logging.level(settings, quiet: options.quiet)
        // Who started it hears why it cannot start, and is gone soon after.
        let log = detached ? LogFile(place.log) : nil
        let sink = log.map { LineSink(file: $0) } ?? .standardError
        defer { sink.flush(within: 1) }
        let logger = Logger.lines(to: sink, level)
        let keyring = try settings.value("keyring", options.keyring)?.inWorkingDirectory() ?? ""
        let saysServing = options.json && role == nil
        let runner = WorkerRunner(
            place: place, cache: configuration, keyring: keyring, records: records, asks: WorkerSignals.heard,
            logger: logger
        ) {
            log?.takeStandardError()
            // Through a sink: the program that started the worker may not read its output.
            if saysServing { try? Terminal.queueJSON(["socket": place.socket]) }
        }
        if let role {
            guard let role = WorkerProcesses.Role(role) else { throw ValidationError("--role is no option of users.") }
            let inherited = try WorkerProcesses.Inherited(role)
            switch role.kind {
            case .serving:
                try await runner.serve(inherited, try processes(inherited.lock, inherited.connection))
            case .supervising:
                try await runner.supervise(
                    try processes(inherited.lock, inherited.connection), adopting: inherited.lifeline)
            }
        } else if let manager = ServiceManager() {
            try await runner.serve(for: manager)
        } else {
            do {
                try await runner.start { try processes($0, $1) }
            } catch is WorkerRunner.ServingFailed {
                throw ExitCode(1)
            }
        }
    }

    private func handNamespaceOver() throws {
        guard let manager = ServiceManager() else {
            throw CacheError(
                .invalidInput,
                "no service manager listens (NOTIFY_SOCKET): --store-namespace is for ExecStartPre=+ of a unit with"
                    + " NotifyAccess=exec")
        }
        try WorkerRunner.storeNamespace(with: manager)
    }

    private func configuration(_ settings: Settings) throws -> CacheConfiguration {
        var configuration = try settings.configuration()
        let total = Int(clamping: try settings.size("memory", memory, default: UInt64(configuration.memoryBytes)))
        // The rest is for chunks that were fetched ahead. With this, a worker takes 100 MiB more than --memory while
        // images are read.
        configuration.memoryBytes = total / 4 * 3
        configuration.fillBytes = 8 << 20
        configuration.readAhead = 16
        return configuration
    }

    private func records(_ settings: Settings) throws -> Bool {
        switch settings.value("record", record) {
        case nil, "on": true
        case "off": false
        case let other?: throw ValidationError("--record '\(other)' is neither on nor off.")
        }
    }

    private func processes(_ lock: OpenFile, _ connection: [OpenFile]) throws -> WorkerProcesses {
        var arguments = try ProcessArguments.checked()
        if let index = arguments.firstIndex(of: Self.roleOption) { arguments.removeSubrange(index...index + 1) }
        return WorkerProcesses(
            program: try CurrentProcess.executable(), arguments: arguments, roleOption: Self.roleOption, lock: lock,
            connection: connection)
    }
}
