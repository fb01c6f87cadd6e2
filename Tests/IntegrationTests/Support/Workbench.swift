import Foundation
import Glibc
import Testing

/// A directory for one test with a keyring, an L3, an L1, and the built binary to work on them. Removed at the end.
final class Workbench: Sendable {
    let path: String

    var keyring: String { self("keys.json") }
    var l3: String { self("l3") }
    var l1: String { self("l1") }

    /// - Parameter tenants: have keys in the keyring.
    init(tenants: [String] = ["acme"]) async throws {
        path = FileManager.default.temporaryDirectory.path + "/layercache-it-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: path + "/.out", withIntermediateDirectories: true)
        for tenant in tenants { try await succeed(["keygen", tenant, "--keyring", keyring]) }
    }

    deinit {
        // Trees without permissions are among what is tested.
        var status: Int32 = 0
        var child: pid_t = 0
        let words = [
            "/bin/sh", "-c", "rm -rf -- '\(path)' 2>/dev/null || { chmod -R u+rwx '\(path)'; rm -rf -- '\(path)'; }",
        ]
        var pointers = words.map { strdup($0) } + [nil]
        defer { pointers.forEach { free($0) } }
        if posix_spawn(&child, "/bin/sh", nil, nil, &pointers, environ) == 0 {
            while waitpid(child, &status, 0) == -1, errno == EINTR {}
        }
    }

    /// The path of something in the directory.
    func callAsFunction(_ name: String) -> String { "\(path)/\(name)" }

    // MARK: Processes

    /// The binary, built beside the bundle of these tests.
    static let binary: String = {
        let start = Bundle.allBundles.map(\.bundlePath) + [CommandLine.arguments.first ?? ""]
        for path in start {
            var directory = URL(fileURLWithPath: path).deletingLastPathComponent()
            for _ in 0..<4 {
                let candidate = directory.appendingPathComponent("layercache").path
                var isDirectory: ObjCBool = false
                if FileManager.default.fileExists(atPath: candidate, isDirectory: &isDirectory), !isDirectory.boolValue,
                    FileManager.default.isExecutableFile(atPath: candidate)
                {
                    return candidate
                }
                directory.deleteLastPathComponent()
            }
        }
        return "layercache"
    }()

    /// Which tier answers is no matter of how busy the machine is: a test about a deadline sets it itself.
    static let unhurried = [
        "LAYERCACHE_L1_DEADLINE": "10m", "LAYERCACHE_L2_DEADLINE": "10m", "LAYERCACHE_L2_PATIENCE": "10m",
        "LAYERCACHE_L3_DEADLINE": "10m",
    ]

    func start(_ arguments: [String], environment: [String: String] = [:]) throws -> ChildProcess {
        let all = Self.unhurried.merging(environment) { $1 }
        return try ChildProcess(Self.binary, arguments, environment: all, in: self(".out"))
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
        #expect(!outcome.error.isEmpty && outcome.error.utf8.count < 4096, sourceLocation: location)
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

    static func isInstalled(_ tool: String) -> Bool {
        ["/usr/bin", "/usr/sbin", "/usr/local/bin", "/bin", "/sbin"].contains {
            FileManager.default.isExecutableFile(atPath: "\($0)/\(tool)")
        }
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
        return all.map { "\(directory)/\($0)" }.filter {
            var status = stat()
            return lstat($0, &status) == 0 && status.st_mode & S_IFMT == S_IFREG
        }.sorted()
    }

    /// Bytes that the files of a directory take on disk.
    func diskBytes(_ directory: String) -> Int {
        files(below: directory).reduce(0) { sum, path in
            var status = stat()
            return lstat(path, &status) == 0 ? sum + Int(status.st_blocks) * 512 : sum
        }
    }

    /// Bytes that have been written into the files of a directory so far: a file can be given its length or its room ahead of them.
    func filledBytes(_ directory: String) -> Int {
        files(below: directory).reduce(0) { sum, path in
            var status = stat()
            return lstat(path, &status) == 0 ? sum + min(Int(status.st_size), Int(status.st_blocks) * 512) : sum
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
            return files(below: directory).contains { path in
                var status = stat()
                return path.contains("/.layercache-") && stat(path, &status) == 0 && status.st_size > 0
            }
        }
    }

    /// Kills a process somewhere in its work: once files below `directory` have grown by `bytes`, unless it has come to its end before.
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
