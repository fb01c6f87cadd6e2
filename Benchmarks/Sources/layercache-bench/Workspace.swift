import Foundation

/// Where a run keeps what it makes: one directory, removed at the end, and an environment that leads no program elsewhere.
struct Workspace {
    let root: String
    let binary: String
    let quick: Bool

    init(parent: String, binary: String, quick: Bool) throws {
        try FileManager.default.createDirectory(atPath: parent, withIntermediateDirectories: true)
        root = "\(parent)/bench.\(getpid())"
        self.binary = binary
        self.quick = quick
        try FileManager.default.createDirectory(atPath: root, withIntermediateDirectories: false)
    }

    func remove() { try? FileManager.default.removeItem(atPath: root) }

    /// A path of its own for `name`, and nothing at it.
    func fresh(_ name: String) throws -> String {
        let path = "\(root)/\(name)"
        if access(path, F_OK) == 0 { try FileManager.default.removeItem(atPath: path) }
        return path
    }

    func freshDirectory(_ name: String) throws -> String {
        let path = try fresh(name)
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        return path
    }

    var environment: [String: String] {
        [
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "\(root)/home",
            "XDG_CACHE_HOME": "\(root)/home/cache", "XDG_CONFIG_HOME": "\(root)/home/config",
            "BORG_BASE_DIR": "\(root)/home/borg", "LC_ALL": "C.UTF-8",
        ]
    }

    func start(_ command: [String], _ more: [String: String] = [:]) throws -> Child {
        let name = (command[0] as NSString).lastPathComponent
        return try Child(
            command, environment: environment.merging(more) { $1 }, log: "\(root)/\(name).log")
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

    func requireBinary() throws -> String {
        guard access(binary, X_OK) == 0 else {
            throw BenchError(
                "no binary at \(binary): run 'swift build -c release --product layercache', or give --binary")
        }
        return binary
    }
}
