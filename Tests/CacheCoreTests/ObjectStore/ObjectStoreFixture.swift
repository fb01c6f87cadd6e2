import CacheCore
import Foundation
import NIOCore
import Testing

/// A directory of its own under the system's temporary one, removed at the end.
final class ObjectScratch: Sendable {
    let path: String

    init() throws {
        path = URL(fileURLWithPath: NSTemporaryDirectory()).appendingPathComponent("objects-\(UUID().uuidString)").path
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    func store(threads: Int = 8) throws -> FileObjectStore {
        try FileObjectStore(root: path, create: true, threads: threads)
    }

    /// Names in a directory below it; none if there is no such directory.
    func names(_ below: String = "") -> [String] {
        ((try? FileManager.default.contentsOfDirectory(atPath: path + "/" + below)) ?? []).sorted()
    }

    func write(_ name: String, _ bytes: [UInt8]) throws {
        let url = URL(fileURLWithPath: path + "/" + name)
        try FileManager.default.createDirectory(at: url.deletingLastPathComponent(), withIntermediateDirectories: true)
        try Data(bytes).write(to: url)
    }
}

func key(_ text: String) throws -> ObjectKey { try #require(ObjectKey(text)) }

/// The ``CacheError`` that `body` throws; a failure of the test if it throws none or another.
func failure<Result>(
    _ body: () async throws -> Result, sourceLocation: SourceLocation = #_sourceLocation
) async -> CacheError? {
    do {
        _ = try await body()
        Issue.record("no error was thrown", sourceLocation: sourceLocation)
    } catch let error as CacheError {
        if !error.description.contains(where: \.isNewline) { return error }
        Issue.record("an error of several lines: \(error)", sourceLocation: sourceLocation)
    } catch {
        Issue.record("not a CacheError: \(error)", sourceLocation: sourceLocation)
    }
    return nil
}

/// `object-exerciser`, which is built beside the tests, as another process.
final class ObjectExerciserProcess {
    let process = Process()
    private let output = Pipe()

    init(_ arguments: [String]) throws {
        let tests = try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
        let beside = [tests, CommandLine.arguments[0]].map {
            URL(fileURLWithPath: $0).deletingLastPathComponent().appendingPathComponent("object-exerciser")
        }
        let executable: URL = try #require(
            beside.first(where: { FileManager.default.isExecutableFile(atPath: $0.path) }))
        process.executableURL = executable
        process.arguments = arguments
        process.standardOutput = output
        try process.run()
    }

    /// Blocks until it has done so many steps, or has ended.
    func waitForSteps(_ count: Int) {
        var seen = 0
        while seen < 2 * count {
            let piece = output.fileHandleForReading.availableData
            if piece.isEmpty { return }
            seen += piece.count
        }
    }

    /// Kills it with -9; it has no chance to clean up.
    func kill() {
        Glibc.kill(process.processIdentifier, SIGKILL)
        process.waitUntilExit()
    }

    /// Blocks until it ends; its exit status.
    func status() -> Int32 {
        waitForSteps(.max / 4)
        process.waitUntilExit()
        return process.terminationStatus
    }
}
