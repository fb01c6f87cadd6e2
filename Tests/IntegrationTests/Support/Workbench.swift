import Foundation
import Glibc
import TestSupport
import Testing

/// A directory for one test with a keyring, an L3, an L1, and the built binary to work on them. Removed at the end.
final class Workbench: Sendable {
    private let directory: TemporaryDirectory

    var path: String { directory.path }

    var keyring: String { self("keys.json") }
    var l3: String { self("l3") }
    var l1: String { self("l1") }

    /// - Parameter tenants: have keys in the keyring.
    init(tenants: [String] = ["acme"]) async throws {
        directory = try TemporaryDirectory()
        try FileManager.default.createDirectory(atPath: directory(".out"), withIntermediateDirectories: false)
        for tenant in tenants { try await succeed(["keygen", tenant, "--keyring", keyring]) }
    }

    /// The path of something in the directory.
    func callAsFunction(_ name: String) -> String { directory(name) }

    // MARK: Processes

    /// The binary that is tested.
    static var binary: String { get throws { try BuiltProgram.path("layercache") } }

    /// Which tier answers is no matter of how busy the machine is: a test about a deadline sets it itself.
    static let unhurried = [
        "LAYERCACHE_L1_DEADLINE": "10m", "LAYERCACHE_L2_DEADLINE": "10m", "LAYERCACHE_L2_PATIENCE": "10m",
        "LAYERCACHE_L2_WAIT": "10m",
        "LAYERCACHE_L3_DEADLINE": "10m",
    ]

    func start(_ arguments: [String], environment: [String: String] = [:]) throws -> ChildProcess {
        let all = Self.unhurried.merging(environment) { $1 }
        return try ChildProcess(built: "layercache", arguments, environment: all, in: self(".out"))
    }

    func run(
        _ arguments: [String], environment: [String: String] = [:], atMost seconds: Double = ChildProcess.patience
    ) async throws -> ChildProcess.Outcome {
        try await start(arguments, environment: environment).wait(atMost: seconds)
    }

    /// Runs a verb that must end with status 0; its standard output.
    @discardableResult
    func succeed(
        _ arguments: [String], environment: [String: String] = [:], location: SourceLocation = #_sourceLocation
    ) async throws -> String {
        let outcome = try await run(arguments, environment: environment)
        try #require(
            outcome.status == 0,
            "\(arguments) ended with \(outcome.status ?? -1), signal \(outcome.signal ?? 0): \(outcome.error)",
            sourceLocation: location)
        return outcome.output
    }

    /// Runs a verb that must end with status 1 and exactly one line, and gives the line.
    @discardableResult
    func fail(
        _ arguments: [String], environment: [String: String] = [:], status: Int32 = 1,
        atMost seconds: Double = ChildProcess.patience,
        location: SourceLocation = #_sourceLocation
    ) async throws -> String {
        let outcome = try await run(arguments, environment: environment, atMost: seconds)
        #expect(
            outcome.status == status, "\(arguments): signal \(outcome.signal ?? 0), \(outcome.error)",
            sourceLocation: location)
        if status == 1 {
            #expect(outcome.errorLines.count == 1, "\(arguments): \(outcome.error)", sourceLocation: location)
        }
        #expect(!outcome.error.isEmpty, sourceLocation: location)
        #expect(outcome.error.utf8.count < 4096, sourceLocation: location)
        #expect(!outcome.error.contains("Fatal error"), sourceLocation: location)
        return outcome.error
    }

    @discardableResult
    func shell(_ script: String, location: SourceLocation = #_sourceLocation) async throws -> String {
        try await tool("/bin/bash", ["-euo", "pipefail", "-c", "cd '\(path)'\n\(script)"], location)
    }

    @discardableResult
    func python(_ script: String, location: SourceLocation = #_sourceLocation) async throws -> String {
        let start = "import os; os.chdir('\(path)')\n" + PythonPrelude.text
        return try await tool("python3", ["-c", start + script], location)
    }

    private func tool(_ program: String, _ arguments: [String], _ location: SourceLocation) async throws -> String {
        let outcome = try await ChildProcess(
            program, arguments, environment: Self.unhurried, in: self(".out")
        ).wait()
        try #require(outcome.status == 0, "\(outcome.error)\(outcome.output)", sourceLocation: location)
        return outcome.output
    }

    static var isRoot: Bool { geteuid() == 0 }

    // MARK: Verbs

    /// - Returns: the JSON object.
    @discardableResult
    func push(
        _ source: String, _ ref: String, _ more: [String] = [], location: SourceLocation = #_sourceLocation
    ) async throws -> PushAnswer {
        let text = try await succeed(
            ["push", source, ref, "--l3", l3, "--keyring", keyring, "--json"] + more, location: location)
        return try JSONDecoder().decode(PushAnswer.self, from: Data(text.utf8))
    }

    @discardableResult
    func pull(
        _ ref: String, _ destination: String, _ more: [String] = [], location: SourceLocation = #_sourceLocation
    ) async throws -> PullAnswer {
        let text = try await succeed(
            ["pull", ref, destination, "--l3", l3, "--keyring", keyring, "--json"] + more, location: location)
        return try JSONDecoder().decode(PullAnswer.self, from: Data(text.utf8))
    }

    func pullArguments(_ ref: String, _ destination: String) -> [String] {
        ["pull", ref, destination, "--l3", l3, "--keyring", keyring, "--json"]
    }

    // MARK: Files

    func bytes(_ path: String) throws -> Data { try Data(contentsOf: URL(fileURLWithPath: path)) }

    func write(_ data: Data, _ path: String) throws { try data.write(to: URL(fileURLWithPath: path)) }

    /// The regular files below a directory, by path, sorted.
    func files(below directory: String) -> [String] {
        let all = FileManager.default.enumerator(atPath: directory)?.compactMap { $0 as? String } ?? []
        return all.map { "\(directory)/\($0)" }.filter { FileStatus($0)?.isRegular == true }.sorted()
    }

    /// Bytes that the files of a directory take on disk.
    func diskBytes(_ directory: String) -> Int {
        files(below: directory).compactMap { FileStatus($0)?.storedByteCount }.reduce(0, +)
    }

    /// Bytes that have been written into the files of a directory so far: a file can be given its length or its room
    /// ahead of them.
    func filledBytes(_ directory: String) -> Int {
        files(below: directory).compactMap { FileStatus($0) }.reduce(0) {
            $0 + min($1.byteCount, $1.storedByteCount)
        }
    }

    /// Whether both files have the same bytes; compares without reading either whole.
    func same(_ one: String, _ other: String) async throws -> Bool {
        try await ChildProcess("cmp", ["-s", one, other], in: self(".out")).wait().status == 0
    }
}

extension Workbench {
    /// Waits until `process`, a pull, has written something of what will be a file in `directory`; or has ended.
    func waitForBytes(below directory: String, of process: ChildProcess) async throws {
        try await eventually("a part of a file in \(directory)") {
            if process.hasEnded { return true }
            return files(below: directory).contains {
                $0.contains("/.layercache-") && (FileStatus($0)?.byteCount ?? 0) > 0
            }
        }
    }

    /// Kills a process somewhere in its work: once files below `directory` have grown by `bytes`, unless it has come to
    /// its end before.
    func kill(_ process: ChildProcess, onceGrown directory: String, by bytes: Int) async throws {
        var least = Int.max
        try await eventually("\(bytes) bytes more in \(directory)") {
            if process.hasEnded { return true }
            let now = filledBytes(directory)
            // What a killed one left is removed by the next.
            least = min(least, now)
            return now - least >= bytes
        }
        process.kill()
    }
}
