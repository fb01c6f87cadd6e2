import ArgumentParser
import CacheCore
import CacheServer
import Foundation
import Logging
import ServiceLifecycle

struct ServerCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "server", abstract: "Run the L2 daemon.",
        discussion: """
            It never sees plaintext and holds no keys. SIGTERM lets requests finish and ends with status 0, SIGINT \
            ends them; a second
            one ends the daemon at once. SIGHUP has the configuration read again.
            """)

    @Option(
        help: ArgumentHelp(
            "Address to listen on; port 0 lets the system choose (127.0.0.1:7070).", valueName: "host:port"))
    var listen: String?
    @Option(help: ArgumentHelp("Directory of the chunk store.", valueName: "dir"))
    var store: String?
    @Option(help: ArgumentHelp("Most bytes of the store on disk.", valueName: "size"))
    var capacity: String?
    @Option(help: ArgumentHelp("Most bytes of chunks in memory (256MiB).", valueName: "size"))
    var memory: String?
    @Option(help: ArgumentHelp("Threads that serve the network (1).", valueName: "count"))
    var threads: String?
    @Option(help: ArgumentHelp("Most connections at a time (1000; with TLS 384).", valueName: "count"))
    var connections: String?
    @OptionGroup var security: ServerSecurityOptions
    @OptionGroup var times: ServerTimeOptions
    @Option(
        name: .customLong("scrub-rate"),
        help: ArgumentHelp(
            "Bytes a second that are read and checked in the background, 0 for none (16MiB).", valueName: "size"))
    var scrubRate: String?
    @Option(
        help: ArgumentHelp(
            "URLs of all daemons of the zone, with commas: the page at / links to them.", valueName: "url"))
    var ring: String?
    @OptionGroup var log: LogOption
    @OptionGroup var options: CommonOptions

    func run() async throws {
        let settings = try Settings(options)
        let configuration = try configuration(settings)
        // Each event loop has three descriptors and a thread.
        let loops = configuration.eventLoopThreads
        try Machine.require(descriptors: 3 * loops, threads: loops + configuration.storeThreads)
        guard Machine.hasRoom(forMapOf: configuration.capacity) else {
            throw CacheError(
                .io,
                "there is no address space for a store of \(configuration.capacity) bytes: raise the limit (ulimit -v)")
        }
        let threshold = LogThreshold(try log.level(settings, quiet: options.quiet))
        let logger = Logger.lines(to: .standardError, threshold)
        let manager = DaemonManager(logger: logger)
        let signals = DaemonSignals()
        let isJSON = options.json
        var server = CacheServer(configuration: configuration, logger: logger) { port in
            signals.served()
            manager.ready()
            // Through a sink: the program that started the daemon may read neither of its outputs.
            if isJSON { try? Terminal.queueJSON(["listen": ListenAddress.text(configuration.host, port)]) }
        }
        server.droppedLogLines = { LineSink.standardError.dropped }
        let group = ServiceGroup(configuration: .init(services: [server], logger: logger))
        try await signals.run(group) { [server] in manager.reloading { reload(server, threshold, logger) } }
    }

    /// Reads the configuration again. What is wrong with it changes nothing.
    private func reload(_ server: CacheServer, _ threshold: LogThreshold, _ logger: Logger) {
        do {
            let settings = try Settings(options)
            let level = try log.level(settings, quiet: options.quiet)
            let changes = try server.reload(try configuration(settings))
            let changesLevel = level != threshold.level
            let made = changes.made + (changesLevel ? ["log-level"] : [])
            if !changes.left.isEmpty {
                logger.warning(
                    "these change when the daemon is started anew",
                    metadata: ["options": "\(changes.left.joined(separator: ","))"])
            }
            logger.notice(
                "SIGHUP: the configuration was read again",
                metadata: ["changed": "\(made.isEmpty ? "nothing" : made.joined(separator: ","))"])
            threshold.level = level
        } catch {
            logger.error(
                "SIGHUP: going on with the old configuration",
                metadata: ["error": "\((error as? ValidationError)?.message ?? "\(error)")"])
        }
    }

    /// What the options say, from wherever they come.
    private func configuration(_ settings: Settings) throws -> ServerConfiguration {
        let address = try ListenAddress(settings.value("listen", listen) ?? "127.0.0.1:7070")
        var configuration = ServerConfiguration(
            host: address.host, port: address.port,
            storeDirectory: try settings.required("store", store, "/var/lib/layercache"),
            capacity: 0)
        // Whether it is too small or too large is the store's to say.
        _ = try settings.required("capacity", capacity, "100GiB")
        configuration.capacity = try settings.size("capacity", capacity, default: 0)
        guard configuration.capacity > 0 else {
            throw ValidationError("--capacity must be above zero, for example '--capacity 100GiB'.")
        }
        configuration.memoryBytes = Int(
            try settings.size("memory", memory, default: UInt64(configuration.memoryBytes)))
        configuration.scrubBytesPerSecond = Int(
            try settings.size("scrub-rate", scrubRate, default: UInt64(configuration.scrubBytesPerSecond)))
        configuration.eventLoopThreads =
            try Self.count("threads", settings.value("threads", threads), upTo: 1024) ?? configuration.eventLoopThreads
        configuration.security = try security.security(settings)
        let isSecured = configuration.security.certificateFile != nil
        configuration.limits.connections =
            try Self.count("connections", settings.value("connections", connections), upTo: 1_000_000)
            ?? (isSecured ? configuration.limits.securedConnections : configuration.limits.connections)
        try times.apply(to: &configuration, settings)
        configuration.ring = try Self.ring(settings.value("ring", ring) ?? "")
        return configuration
    }

    private static func ring(_ text: String) throws -> [String] {
        let nodes = text.split(separator: ",").map(String.init)
        for node in nodes {
            let parts = URLComponents(string: node)
            guard ["http", "https"].contains(parts?.scheme), parts?.host?.isEmpty == false,
                ["", "/"].contains(parts?.path), parts?.query == nil, parts?.fragment == nil, parts?.user == nil
            else { throw ValidationError("--ring '\(node)' is not http://HOST:PORT or https://HOST:PORT.") }
        }
        guard nodes.count <= mostNodes else { throw ValidationError("--ring has more than \(mostNodes) daemons.") }
        return nodes
    }

    private static let mostNodes = 256

    private static func count(_ name: String, _ text: String?, upTo most: Int) throws -> Int? {
        guard let text else { return nil }
        guard let count = Int(text), (1...most).contains(count) else {
            throw ValidationError("--\(name) '\(text)' is not a number from 1 to \(most).")
        }
        return count
    }
}

/// `HOST:PORT`; an IPv6 address stands in brackets.
private struct ListenAddress: Sendable {
    let host: String
    let port: Int

    init(_ text: String) throws {
        guard let colon = text.lastIndex(of: ":") else { throw Self.malformed(text) }
        let digits = text[text.index(after: colon)...]
        // A sign would pass for a number.
        guard digits.allSatisfy({ $0.isASCII && $0.isNumber }), let port = UInt16(digits) else {
            throw Self.malformed(text)
        }
        var host = text[..<colon]
        if host.hasPrefix("["), host.hasSuffix("]") {
            host = host.dropFirst().dropLast()
            guard host.contains(":") else { throw Self.malformed(text) }
        } else if host.contains(":") {
            throw Self.malformed(text)
        }
        guard !host.isEmpty, !host.contains(where: { "[]".contains($0) }) else { throw Self.malformed(text) }
        self.host = String(host)
        self.port = Int(port)
    }

    /// As it would be given, with the port that was bound.
    static func text(_ host: String, _ port: Int) -> String {
        host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
    }

    private static func malformed(_ text: String) -> ValidationError {
        ValidationError("--listen '\(text)' is not HOST:PORT, for example 0.0.0.0:7070 or '[::]:7070'.")
    }
}
