import ArgumentParser

/// The options that every verb takes.
struct CommonOptions: ParsableArguments {
    @Option(name: .customLong("l1"), help: ArgumentHelp("Directory of this host's L1.", valueName: "dir"))
    var l1: String?
    @Option(
        name: .customLong("l1-capacity"), help: ArgumentHelp("Most bytes of L1 on disk (10GiB).", valueName: "size"))
    var l1Capacity: String?
    @OptionGroup var l2: L2Options
    @Option(
        name: .customLong("l3"),
        help: ArgumentHelp("Object store: file:///path, a bare path, or s3://...", valueName: "url"))
    var l3: String?
    @Option(
        name: .customLong("l1-deadline"),
        help: ArgumentHelp("How long one read of L1 may take before L2 is asked (5s).", valueName: "time"))
    var l1Deadline: String?
    @Option(
        name: .customLong("l3-deadline"),
        help: ArgumentHelp("How long one read of L3 may take before it has failed (30s).", valueName: "time"))
    var l3Deadline: String?
    @Option(name: .customLong("keyring"), help: ArgumentHelp("File with the keys.", valueName: "file"))
    var keyring: String?
    @Option(
        name: .customLong("config"),
        help: ArgumentHelp("JSON file with options by name; comments are let pass.", valueName: "file"))
    var config: String?
    @Flag(name: .customLong("json"), help: "Print exactly one JSON object.")
    var json = false
    @Flag(name: .customLong("quiet"), help: "Print nothing but errors.")
    var quiet = false

    /// Prints the JSON object on `stream` or, unless quiet, what `people` prints.
    func report(
        _ value: some Encodable, on stream: Terminal.Stream = .output, people: () throws -> Void
    ) throws {
        if json {
            try Terminal.printJSON(value, on: stream)
        } else if !quiet {
            try people()
        }
    }
}
