import Foundation
import Synchronization

/// Where a run keeps what it makes: one directory, removed at the end, and an environment that leads no program
/// elsewhere.
///
/// Nothing with many files is removed before the end: ext4 without a journal does not use the inode of a removed file
/// again for a minute, and looks at each of them whenever a file is made. A store of chunks that follows upon another's
/// removal was 2.5 times as slow.
final class Workspace: Sendable {
    let root: String
    let binary: String
    let quick: Bool
    private let count = Mutex(0)

    init(parent: String, binary: String, quick: Bool) throws {
        try FileManager.default.createDirectory(atPath: parent, withIntermediateDirectories: true)
        root = "\(parent)/bench.\(getpid())"
        self.binary = binary
        self.quick = quick
        try FileManager.default.createDirectory(atPath: root, withIntermediateDirectories: false)
    }

    func remove() { try? FileManager.default.removeItem(atPath: root) }

    /// A number that no other thing of this run has.
    func number() -> Int {
        count.withLock { count in
            count += 1
            return count
        }
    }

    /// A path that nothing is at.
    func fresh(_ name: String) -> String { "\(root)/\(name)-\(number())" }

    /// Lets every program start without what it remembers of earlier runs.
    func forgetHome() throws {
        let home = "\(root)/home"
        if access(home, F_OK) == 0 { try FileManager.default.moveItem(atPath: home, toPath: fresh("home")) }
    }

    func freshDirectory(_ name: String) throws -> String {
        let path = fresh(name)
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        return path
    }

    var environment: [String: String] {
        [
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "\(root)/home",
            "XDG_CACHE_HOME": "\(root)/home/cache", "XDG_CONFIG_HOME": "\(root)/home/config",
            "BORG_BASE_DIR": "\(root)/home/borg", "BORG_PASSPHRASE": "benchmark", "LC_ALL": "C.UTF-8",
        ]
    }

    /// - Parameter output: where its standard output goes; by default into its log.
    func start(_ command: [String], _ more: [String: String] = [:], output: Int32? = nil) throws -> Child {
        let name = (command[0] as NSString).lastPathComponent
        return try Child(
            command, environment: environment.merging(more) { $1 }, log: "\(root)/\(name)-\(number()).log",
            output: output)
    }

    /// Seconds until a program writes its first byte, and its output; it must end with status 0.
    func firstOutput(_ command: [String]) throws -> (seconds: Double, output: String) {
        let pipe = Pipe()
        let start = ContinuousClock.now
        let child = try self.start(command, output: pipe.fileHandleForWriting.fileDescriptor)
        try pipe.fileHandleForWriting.close()
        let first = try pipe.fileHandleForReading.read(upToCount: 1) ?? Data()
        let seconds = (ContinuousClock.now - start) / .seconds(1)
        let rest = try pipe.fileHandleForReading.readToEnd() ?? Data()
        _ = try child.success()
        guard !first.isEmpty else { throw BenchError("\(command[0]) printed nothing") }
        return (seconds, String(decoding: first + rest, as: UTF8.self))
    }

    @discardableResult
    func run(_ command: [String], _ more: [String: String] = [:]) throws -> Child.Usage {
        try start(command, more).success()
    }

    /// Runs the binary under test; its standard output and what it used.
    func layercache(_ arguments: [String]) throws -> (output: String, usage: Child.Usage) {
        let child = try start([try requireBinary()] + arguments)
        let usage = try child.success()
        return (child.output, usage)
    }

    /// The JSON object that a program printed in one line, whatever it said before.
    func decode<Value: Decodable>(_ output: String) throws -> Value {
        guard let line = output.split(separator: "\n").last(where: { $0.hasPrefix("{") }) else {
            throw BenchError("no JSON object in '\(output.prefix(200))'")
        }
        return try JSONDecoder().decode(Value.self, from: Data(line.utf8))
    }

    func requireBinary() throws -> String {
        guard access(binary, X_OK) == 0 else {
            throw BenchError(
                "no binary at \(binary): run 'swift build -c release --product layercache', or give --binary")
        }
        return binary
    }
}
