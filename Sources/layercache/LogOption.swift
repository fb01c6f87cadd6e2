import ArgumentParser
import Logging

/// What a process that runs for long tells of itself.
struct LogOption: ParsableArguments {
    @Option(
        name: .customLong("log-level"),
        help: ArgumentHelp(
            "The least that is logged: trace, debug, info, notice, warning, error or critical (info; warning with "
                + "--quiet).", valueName: "level"))
    var level: String?

    func level(_ settings: Settings, quiet: Bool) throws -> Logger.Level {
        guard let text = settings.value("log-level", level) else { return quiet ? .warning : .info }
        guard let level = Logger.Level(rawValue: text) else {
            let names = Logger.Level.allCases.map(\.rawValue).joined(separator: ", ")
            throw ValidationError("--log-level '\(text)' is none of \(names).")
        }
        return level
    }
}
