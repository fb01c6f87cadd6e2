import CacheCore
import Configuration

/// The JSON file that `--config` names: one object, names as the options have them, values as one would type them;
/// comments, and a comma after the last value, are let pass.
enum ConfigurationFile {
    /// The options that can be set there (and as `LAYERCACHE_...` in the environment).
    static let names = [
        "l1", "l1-capacity", "l1-deadline", "l2", "l2-deadline", "l2-patience", "l2-wait", "l3", "l3-deadline",
        "keyring",
        "l2-token-file", "l2-ca", "l2-cert", "l2-key", "listen", "store", "capacity", "memory", "threads",
        "connections", "tokens", "tls-cert", "tls-key", "tls-client-ca", "compression", "limit", "socket", "scratch",
        "lease-time", "lease-wait", "scrub-rate", "prefetch", "record", "log-level", "shutdown-delay", "ring",
    ]
    private static let maximumBytes = 1 << 20

    /// - Throws: ``CacheError`` naming the file if it is too large, no JSON object, or has a name that means nothing
    ///   here.
    static func read(_ path: String) throws -> [AbsoluteConfigKey: ConfigValue] {
        // Without waiting: a pipe without a writer is no configuration either.
        let bytes = try OpenFile.open(path, .nonBlocking).wholeRange().readAll(atMost: maximumBytes)
        let values = try JSONDocument.decode(
            [String: Scalar].self, from: JSONComments.blanked(bytes), name: "configuration file \(path)", depth: 2)
        var result: [AbsoluteConfigKey: ConfigValue] = [:]
        for (name, value) in values.sorted(by: { $0.key < $1.key }) {
            guard names.contains(name) else {
                throw CacheError(
                    .invalidInput,
                    "configuration file \(path) has the unknown name '\(name)': use \(names.joined(separator: ", "))")
            }
            result[AbsoluteConfigKey([name])] = ConfigValue(.string(value.text), isSecret: false)
        }
        return result
    }

    private struct Scalar: Decodable {
        let text: String

        init(from decoder: any Decoder) throws {
            let container = try decoder.singleValueContainer()
            if let number = try? container.decode(Int.self) {
                text = String(number)
            } else if let list = try? container.decode([String].self) {
                text = list.joined(separator: ",")
            } else {
                text = try container.decode(String.self)
            }
        }
    }
}
