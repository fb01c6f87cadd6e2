import ArgumentParser
import CacheCore

/// The words of the command line and the variables that this program reads, as the bytes that they are.
///
/// A `String` cannot hold bytes that are not UTF-8; they would become U+FFFD, and so the name of another file. Such
/// words are refused.
enum ProcessArguments {
    /// The words after the program's name.
    ///
    /// - Throws: `ValidationError` for a word, or a variable `LAYERCACHE_...`, that is not UTF-8.
    static func checked() throws -> [String] {
        try checkEnvironment()
        // Made from the bytes, because the array of strings that Swift has was repaired already.
        return try (1..<max(Int(CommandLine.argc), 1)).compactMap { index in
            try CommandLine.unsafeArgv[index].map {
                try text(FileName(cString: $0).bytes, "argument \(index)")
            }
        }
    }

    private static func checkEnvironment() throws {
        for variable in CurrentProcess.environment() {
            guard variable.bytes.starts(with: "LAYERCACHE_".utf8, by: { upper($0) == $1 }) else { continue }
            let name = String(decoding: variable.bytes.prefix { $0 != UInt8(ascii: "=") }, as: UTF8.self)
            _ = try text(variable.bytes, "the variable \(Terminal.printable(name))")
        }
    }

    private static func upper(_ byte: UInt8) -> UInt8 {
        (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte) ? byte - 32 : byte
    }

    private static func text(_ bytes: [UInt8], _ what: String) throws -> String {
        if let text = String(validating: bytes, as: UTF8.self) { return text }
        let shown = String(decoding: bytes, as: UTF8.self).prefix(200).debugDescription
        throw ValidationError("\(what) is not UTF-8 and cannot be taken as given: \(shown). Use a name in UTF-8.")
    }
}
