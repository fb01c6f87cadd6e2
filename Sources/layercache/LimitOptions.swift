import ArgumentParser
import CacheCore

/// `--limit NAME=VALUE`, for the verbs that read what comes from outside.
struct LimitOptions: ParsableArguments {
    @Option(
        name: .customLong("limit"),
        help: ArgumentHelp(
            "Raise or lower a limit on input, as an error names it (docs/OPERATIONS.md lists all); can be repeated.",
            valueName: "name=value"))
    var limits: [String] = []

    /// All limits, those set that the command line, else the environment or the configuration file, sets.
    func resolve(_ settings: Settings) throws -> ImportLimits {
        var result = ImportLimits()
        let text = settings.value("limit", limits.isEmpty ? nil : limits.joined(separator: ","))
        for setting in (text ?? "").split(separator: ",") {
            let parts = setting.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard parts.count == 2, let limit = Limit(rawValue: String(parts[0])) else {
                let names = Limit.allCases.map(\.rawValue).joined(separator: ", ")
                throw ValidationError("--limit '\(setting)' is not NAME=VALUE with one of these names: \(names).")
            }
            guard let value = Self.number(String(parts[1]), limit.unit), value > 0 else {
                let example = limit.text(result[limit])
                throw ValidationError(
                    "--limit '\(setting)' has no such value: for example \(limit.rawValue)=\(example).")
            }
            guard value <= limit.maximum else {
                throw ValidationError(
                    "--limit '\(setting)': \(limit.rawValue) can be \(limit.text(limit.maximum)) at most.")
            }
            result[limit] = value
        }
        return result
    }

    private static func number(_ text: String, _ unit: Limit.Unit) -> Int? {
        switch unit {
        case .bytes: ByteSize(argument: text).map { Int($0.bytes) }
        case .count: text.allSatisfy { $0.isASCII && $0.isNumber } ? Int(text) : nil
        }
    }
}
