import ArgumentParser
import CacheCore
import CacheServer
import Logging
import ServiceLifecycle
import UnixSignals

struct ServerCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "server", abstract: "Run the L2 daemon.",
        discussion: "It never sees plaintext and holds no keys. SIGTERM lets requests finish and ends with status 0.")

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
    @OptionGroup var options: CommonOptions

    func run() async throws {
        let settings = try Settings(options)
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
        if let threads = settings.value("threads", threads) {
            guard let count = Int(threads), (1...1024).contains(count) else {
                throw ValidationError("--threads '\(threads)' is not a number from 1 to 1024.")
            }
            configuration.eventLoopThreads = count
        }
        let logger = Logger.standardError(options.quiet ? .warning : .info)
        let isJSON = options.json
        let server = CacheServer(configuration: configuration, logger: logger) { port in
            if isJSON { try? Terminal.printJSON(["listen": address.text(port: port)]) }
        }
        let group = ServiceGroup(
            configuration: .init(
                services: [server], gracefulShutdownSignals: [.sigterm], cancellationSignals: [.sigint],
                logger: logger))
        try await group.run()
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
    func text(port: Int) -> String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }

    private static func malformed(_ text: String) -> ValidationError {
        ValidationError("--listen '\(text)' is not HOST:PORT, for example 0.0.0.0:7070 or '[::]:7070'.")
    }
}
