import ArgumentParser
import CacheAgent
import CacheClient
import CacheCore

struct MountCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "mount", abstract: "Show an image as a directory; what is read of it arrives then.",
        discussion: """
            Asks the worker of this host (--socket), which is started with the same options where none runs. Returns \
            once the directory
            can be used. Needs root.
            """)

    @Argument(help: "TENANT/NAME:TAG")
    var ref: String
    @Argument(help: ArgumentHelp("The directory, which must exist.", valueName: "dir"))
    var directory: String
    @Flag(help: "What is written is kept on this host until the directory is unmounted.")
    var writable = false
    @Option(
        help: ArgumentHelp(
            "Fetch ahead what earlier runs read (trace), everything (all) or nothing (none).",
            valueName: "trace|all|none"))
    var prefetch: String?
    @OptionGroup var socket: SocketOption
    @OptionGroup var options: CommonOptions

    private struct MountJSON: Encodable {
        let ref: String
        let dir: String
        let device: String
        let bytes: UInt64
        let seconds: Double
    }

    func run() async throws {
        let settings = try Settings(options)
        let reference = try ImageReference(parsing: ref)
        let path = try socket.path(settings)
        let request = MountRequest(
            ref: "\(reference)", dir: try directory.inWorkingDirectory(), writable: writable,
            prefetch: try mode(settings.value("prefetch", prefetch)),
            keyring: try settings.value("keyring", options.keyring)?.inWorkingDirectory())
        let start = ContinuousClock.now
        let launcher = WorkerLauncher(WorkerPlace(socket: path))
        let status = try await launcher.withWorker(
            orStart: .init(
                program: try CurrentProcess.executable(),
                arguments: ["worker", "--detached", "--socket", path] + options.workerArguments(settings))
        ) { client in try await client.mount(request) }
        let seconds = ((ContinuousClock.now - start) / .seconds(1)).toMilliseconds
        let report = MountJSON(
            ref: status.ref, dir: status.dir, device: status.device, bytes: status.bytes, seconds: seconds)
        try options.report(report) {
            try Terminal.say("\(status.dir): \(status.ref) in \(seconds) s")
        }
    }

    private func mode(_ text: String?) throws -> DeviceOptions.Prefetch? {
        guard let text else { return nil }
        guard let mode = DeviceOptions.Prefetch(rawValue: text) else {
            throw ValidationError("--prefetch '\(text)' is none of trace, all and none.")
        }
        return mode
    }
}

extension CommonOptions {
    /// What a worker that is started by a verb gets of its options, and all paths, wherever they come from, as a
    /// process in another directory finds them; all else it finds where the verb did.
    fileprivate func workerArguments(_ settings: Settings) throws -> [String] {
        let store = try settings.value("l3", l3).map { text in
            switch try ObjectStoreLocation.parse(text) {
            case .directory(let path): try path.inWorkingDirectory()
            }
        }
        let given: [(String, String?)] = [
            ("l1", try settings.value("l1", l1)?.inWorkingDirectory()), ("l3", store),
            ("keyring", try settings.value("keyring", keyring)?.inWorkingDirectory()),
            ("scratch", try settings.value("scratch", nil)?.inWorkingDirectory()),
            ("config", try settings.value("config", config)?.inWorkingDirectory()),
            ("l2-token-file", try settings.value("l2-token-file", l2.tokenFile)?.inWorkingDirectory()),
            ("l2-ca", try settings.value("l2-ca", l2.authority)?.inWorkingDirectory()),
            ("l2-cert", try settings.value("l2-cert", l2.certificate)?.inWorkingDirectory()),
            ("l2-key", try settings.value("l2-key", l2.key)?.inWorkingDirectory()),
            ("l1-capacity", l1Capacity), ("l2", l2.urls), ("l1-deadline", l1Deadline), ("l2-deadline", l2.deadline),
            ("l2-patience", l2.patience), ("l2-wait", l2.wait), ("l3-deadline", l3Deadline),
        ]
        return given.flatMap { name, value in value.map { ["--\(name)", $0] } ?? [] }
    }
}
