import CacheCore
import Foundation
import Glibc
import Testing

/// A directory of its own for one test, gone afterwards, and the programs that make archives in it.
final class TemporaryTree {
    let path: String

    init() throws {
        path = FileManager.default.temporaryDirectory.path + "/layers-" + UUID().uuidString
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    /// Runs `script` in the directory and returns what it prints.
    ///
    /// Not by Foundation's `Process`: that waits in a run loop, which threads of the cooperative pool do not have.
    @discardableResult
    func shell(_ script: String, sourceLocation: SourceLocation = #_sourceLocation) throws -> String {
        let file = path + "/script.sh"
        let prologue = "set -euo pipefail; cd '\(path)'; export LC_ALL=C.UTF-8 TZ=UTC\n"
        try Data((prologue + script).utf8).write(to: URL(fileURLWithPath: file))
        let pipe = try #require(popen("exec bash '\(file)' </dev/null", "re"), sourceLocation: sourceLocation)
        var text: [UInt8] = []
        var piece = [UInt8](repeating: 0, count: 64 * 1024)
        while case let count = fread(&piece, 1, piece.count, pipe), count > 0 { text += piece[..<count] }
        try #require(pclose(pipe) == 0, "the script failed: \(script)", sourceLocation: sourceLocation)
        return String(decoding: text, as: UTF8.self)
    }

    func python(_ program: String, sourceLocation: SourceLocation = #_sourceLocation) throws -> String {
        try Data(program.utf8).write(to: URL(fileURLWithPath: path + "/program.py"))
        return try shell("python3 program.py", sourceLocation: sourceLocation)
    }

    func bytes(_ name: String) throws -> [UInt8] { try contents(of: path + "/" + name) }

    func write(_ name: String, _ bytes: [UInt8]) throws {
        try Data(bytes).write(to: URL(fileURLWithPath: path + "/" + name))
    }

    static func has(_ program: String) -> Bool {
        (ProcessInfo.processInfo.environment["PATH"] ?? "").split(separator: ":").contains {
            FileManager.default.isExecutableFile(atPath: "\($0)/\(program)")
        }
    }
}
