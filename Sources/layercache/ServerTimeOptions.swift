import ArgumentParser
import CacheServer

/// How long the daemon waits for clients' fills, and with its end.
struct ServerTimeOptions: ParsableArguments {
    @Option(
        name: .customLong("lease-time"),
        help: ArgumentHelp("How long a client that missed a chunk has to fill it (3s).", valueName: "time"))
    var leaseTime: String?
    @Option(
        name: .customLong("lease-wait"),
        help: ArgumentHelp("How long others may wait for a fill, at most (30s).", valueName: "time"))
    var leaseWait: String?
    @Option(
        name: .customLong("shutdown-delay"),
        help: ArgumentHelp(
            "How long to go on serving after SIGTERM while /readyz says 503 (0s).", valueName: "time"))
    var shutdownDelay: String?

    func apply(to configuration: inout ServerConfiguration, _ settings: Settings) throws {
        let limits = configuration.limits
        configuration.limits.leaseTime = try settings.duration("lease-time", leaseTime) ?? limits.leaseTime
        configuration.limits.leaseWait = try settings.duration("lease-wait", leaseWait) ?? limits.leaseWait
        configuration.shutdownDelay =
            try settings.duration("shutdown-delay", shutdownDelay, orNone: true) ?? configuration.shutdownDelay
    }
}
