import ArgumentParser

/// How long the daemons may take, and be waited for.
struct L2TimeOptions: ParsableArguments {
    @Option(
        name: .customLong("l2-deadline"),
        help: ArgumentHelp("How long one request to L2 may take before L3 is asked (2s).", valueName: "time"))
    var l2Deadline: String?
    @Option(
        name: .customLong("l2-patience"),
        help: ArgumentHelp(
            "How much time an L2 that is ill may cost in all, besides a quarter of what reads take (400ms).",
            valueName: "time"))
    var l2Patience: String?
    @Option(
        name: .customLong("l2-wait"),
        help: ArgumentHelp(
            "How long a chunk may be waited for that another worker is bringing into L2 (5s).", valueName: "time"))
    var l2Wait: String?
}
