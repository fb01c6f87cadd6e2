import CacheCore
import Foundation
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
    @discardableResult
    func shell(_ script: String, sourceLocation: SourceLocation = #_sourceLocation) throws -> String {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/bin/bash")
        process.arguments = ["-c", "set -euo pipefail; cd '\(path)'; export LC_ALL=C.UTF-8 TZ=UTC; " + script]
        let output = Pipe()
        process.standardOutput = output
        process.standardInput = FileHandle.nullDevice
        try process.run()
        let text = output.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        try #require(process.terminationStatus == 0, "the script failed: \(script)", sourceLocation: sourceLocation)
        return String(decoding: text, as: UTF8.self)
    }

    func python(_ program: String, sourceLocation: SourceLocation = #_sourceLocation) throws -> String {
        try Data(program.utf8).write(to: URL(fileURLWithPath: path + "/program.py"))
        return try shell("python3 program.py", sourceLocation: sourceLocation)
    }

    func bytes(_ name: String) throws -> [UInt8] { try contents(of: path + "/" + name) }

    static func has(_ program: String) -> Bool {
        (ProcessInfo.processInfo.environment["PATH"] ?? "").split(separator: ":").contains {
            FileManager.default.isExecutableFile(atPath: "\($0)/\(program)")
        }
    }
}
