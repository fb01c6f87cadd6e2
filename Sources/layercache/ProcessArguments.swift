import ArgumentParser
import CacheCore
import Glibc

/// The words of the command line and the variables that this program reads, as the bytes that they are.
///
/// A `String` cannot hold bytes that are not UTF-8; they would become U+FFFD, and so the name of another file. Such words are refused.
enum ProcessArguments {
    /// The words after the program's name.
    ///
    /// - Throws: `ValidationError` for a word, or a variable `LAYERCACHE_...`, that is not UTF-8.
    static func checked() throws -> [String] {
        try checkEnvironment()
        // Made from the bytes, because the array of strings that Swift has was repaired already.
        return try (1..<max(Int(CommandLine.argc), 1)).compactMap { index in
            try CommandLine.unsafeArgv[index].map { try text($0, "argument \(index)") }
        }
    }

    private static func checkEnvironment() throws {
        var next = environ
        while let variable = next.pointee {
            defer { next += 1 }
            guard strncasecmp(variable, "LAYERCACHE_", 11) == 0 else { continue }
            let end = strchr(variable, Int32(UInt8(ascii: "="))) ?? variable
            let name = String(decoding: UnsafeRawBufferPointer(start: variable, count: end - variable), as: UTF8.self)
            _ = try text(variable, "the variable \(Terminal.printable(name))")
        }
    }

    private static func text(_ bytes: UnsafePointer<CChar>, _ what: String) throws -> String {
        if let text = String(validatingCString: bytes) { return text }
        let shown = String(cString: bytes).prefix(200).debugDescription
        throw ValidationError("\(what) is not UTF-8 and cannot be taken as given: \(shown). Use a name in UTF-8.")
    }
}
