import ArgumentParser

/// Where L2 is, how long it may take, and how it and this host know one another.
struct L2Options: ParsableArguments {
    @Option(
        name: .customLong("l2"),
        help: ArgumentHelp(
            """
            L2 daemons, with commas: http://HOST:PORT, https://..., or dns+http://NAME:PORT for all addresses of \
            a name.
            """, valueName: "url"))
    var urls: String?
    @Option(
        name: .customLong("l2-token-file"),
        help: ArgumentHelp("File with the token that L2 asks for.", valueName: "file"))
    var tokenFile: String?
    @Option(
        name: .customLong("l2-ca"),
        help: ArgumentHelp(
            "CAs, as PEM, that L2's certificates must come from (those of the system).", valueName: "file"))
    var authority: String?
    @Option(
        name: .customLong("l2-cert"),
        help: ArgumentHelp("This host's certificate for L2, as PEM with its chain.", valueName: "file"))
    var certificate: String?
    @Option(
        name: .customLong("l2-key"), help: ArgumentHelp("Private key of --l2-cert as PEM.", valueName: "file"))
    var key: String?
    @Option(
        name: .customLong("l2-deadline"),
        help: ArgumentHelp("How long one request to L2 may take before L3 is asked (2s).", valueName: "time"))
    var deadline: String?
    @Option(
        name: .customLong("l2-patience"),
        help: ArgumentHelp(
            "How much time an L2 that is ill may cost in all, besides a quarter of what reads take (400ms).",
            valueName: "time"))
    var patience: String?
    @Option(
        name: .customLong("l2-wait"),
        help: ArgumentHelp(
            "How long a chunk may be waited for that another worker is bringing into L2 (5s).", valueName: "time"))
    var wait: String?
}
