import ArgumentParser
import CacheClient
import CacheCore
import Configuration
import Foundation
import Logging

/// Options after all their sources were asked: the command line, then the environment, then the configuration file.
struct Settings {
    private let options: CommonOptions
    private let reader: ConfigReader

    init(_ options: CommonOptions) throws {
        self.options = options
        // An empty variable is one that is not set: what is below it counts.
        let environment = ProcessInfo.processInfo.environment.filter { !$0.value.isEmpty }
        var providers: [any ConfigProvider] = [
            EnvironmentVariablesProvider(environmentVariables: environment).prefixKeys(with: "layercache")
        ]
        if let path = options.config ?? environment["LAYERCACHE_CONFIG"], !path.isEmpty {
            providers.append(InMemoryProvider(name: path, values: try ConfigurationFile.read(path)))
        }
        reader = ConfigReader(providers: providers)
    }

    /// The value of an option: `given` on the command line, or from elsewhere; `nil` if it is set nowhere. An empty
    /// value counts as not set: `--l1 ''` does without what the environment says.
    func value(_ name: String, _ given: String?) -> String? {
        let text = given ?? reader.string(forKey: ConfigKey([name]))
        return text?.isEmpty == true ? nil : text
    }

    func required(_ name: String, _ given: String?, _ example: String) throws -> String {
        guard let value = value(name, given) else {
            throw ValidationError("Missing --\(name): give it, for example '--\(name) \(example)'.")
        }
        return value
    }

    func size(_ name: String, _ given: String?, default standard: UInt64) throws -> UInt64 {
        guard let text = value(name, given) else { return standard }
        guard let size = ByteSize(argument: text) else {
            throw ValidationError("--\(name) '\(text)' is not a size: use for example 512MiB or 10GiB.")
        }
        return size.bytes
    }

    /// A time; `nil` if it is set nowhere.
    /// - Parameter orNone: whether it may be `0s`.
    func duration(_ name: String, _ given: String?, orNone: Bool = false) throws -> Duration? {
        guard let text = value(name, given) else { return nil }
        guard let time = DurationOption(text, orNone: orNone) else {
            throw ValidationError("--\(name) '\(text)' is not a time: use for example 500ms, 2s or 5m, at most 24h.")
        }
        return time.duration
    }

    /// L3; `creating` makes a directory that is missing, for those who push.
    func objectStore(creating: Bool = false) throws -> any ObjectStore {
        try ObjectStoreLocation.parse(try required("l3", options.l3, "/srv/layers")).open(create: creating)
    }

    /// L3, opened when it is asked first: what the other tiers hold can be had without it.
    func lateObjectStore() throws -> any ObjectStore {
        try ObjectStoreLocation.parse(try required("l3", options.l3, "/srv/layers")).openLate()
    }

    func keyringPath() throws -> String {
        try required("keyring", options.keyring, "keys.json")
    }

    func keyring() throws -> Keyring {
        try Keyring(contentsOf: try keyringPath())
    }

    func l2Addresses() -> [String] {
        (value("l2", options.l2.urls) ?? "").split(separator: ",").map(String.init)
    }

    /// What L2 daemons are shown, and whom this host trusts among them.
    func l2Security() throws -> L2Security {
        var security = L2Security()
        security.tokenFile = value("l2-token-file", options.l2.tokenFile)
        security.authorityFile = value("l2-ca", options.l2.authority)
        security.certificateFile = value("l2-cert", options.l2.certificate)
        security.keyFile = value("l2-key", options.l2.key)
        guard (security.certificateFile == nil) == (security.keyFile == nil) else {
            throw ValidationError("--l2-cert and --l2-key go together: give both.")
        }
        return security
    }

    func l1Directory() -> String? { value("l1", options.l1) }

    func l1Capacity() throws -> UInt64 { try size("l1-capacity", options.l1Capacity, default: 10 << 30) }

    /// L3 alone, with the deadlines that the options name.
    private func cacheConfiguration(_ l3: @autoclosure () throws -> any ObjectStore) throws -> CacheConfiguration {
        // Bad usage is told before anything is looked at.
        typealias Deadline = WritableKeyPath<CacheConfiguration, Duration>
        let given: [(String, String?, Deadline)] = [
            ("l1-deadline", options.l1Deadline, \.l1Deadline), ("l2-deadline", options.l2.deadline, \.l2Deadline),
            ("l2-patience", options.l2.patience, \.l2Patience), ("l2-wait", options.l2.wait, \.l2Wait),
            ("l3-deadline", options.l3Deadline, \.l3Deadline),
        ]
        let deadlines = try given.map { ($2, try duration($0, $1)) }
        var configuration = CacheConfiguration(l3: try l3())
        for case (let path, let deadline?) in deadlines { configuration[keyPath: path] = deadline }
        return configuration
    }

    /// A cache with the tiers that the options name.
    func openCache() async throws -> LayerCache {
        try await LayerCache.open(try configuration(), logger: .commandLine)
    }

    /// The tiers that the options name.
    func configuration() throws -> CacheConfiguration {
        // Bad usage is told before anything is looked at.
        let capacity = try l1Capacity()
        let security = try l2Security()
        var configuration = try cacheConfiguration(try lateObjectStore())
        configuration.l1Directory = l1Directory()
        configuration.l1Capacity = capacity
        if let directory = configuration.l1Directory, !Machine.hasRoom(forMapOf: capacity) {
            Logger.commandLine.warning(
                "L1 finds no address space for its capacity (ulimit -v): going on without it",
                metadata: ["directory": "\(directory)", "capacity": "\(capacity)"])
            configuration.l1Directory = nil
        }
        configuration.l2 = l2Addresses()
        configuration.l2Security = security
        configuration.l2Connections = Machine.l2Connections(
            configuration.l2Connections, daemons: configuration.l2.count)
        return configuration
    }

    /// A cache of nothing: whatever is read comes from L3.
    func openBareL3() async throws -> LayerCache {
        var configuration = try cacheConfiguration(try objectStore())
        configuration.memoryBytes = 0
        return try await LayerCache.open(configuration, logger: .commandLine)
    }
}

extension Logger {
    /// Warnings and worse, on standard error.
    static let commandLine = standardError(.warning)

    static func standardError(_ level: Logger.Level) -> Logger { lines(to: .standardError, level) }

    static func lines(to sink: LineSink, _ level: Logger.Level) -> Logger { lines(to: sink, LogThreshold(level)) }

    static func lines(to sink: LineSink, _ threshold: LogThreshold) -> Logger {
        Logger(label: "layercache") { LineLogHandler(label: $0, sink: sink, threshold: threshold) }
    }
}
