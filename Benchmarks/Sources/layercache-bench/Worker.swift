import Foundation

/// What a mount brought, as `stats DIR --json` says (docs/OPERATIONS.md, "JSON").
struct MountStatistics: Decodable, Equatable {
    struct Tier: Decodable, Equatable {
        let chunks: Int
        let bytes: Double
    }
    struct Prefetch: Decodable, Equatable {
        let chunks: Int
        let used: Int
    }
    let tiers: [String: Tier]
    let prefetch: Prefetch

    /// Sealed bytes that came over the network.
    var movedBytes: Double { ["l2", "l3"].reduce(0) { $0 + (tiers[$1]?.bytes ?? 0) } }
}

/// `layercache worker` on a socket of its own.
struct Worker {
    enum Prefetch: String {
        case trace, all, none
    }

    /// The process that was started.
    let pid: pid_t
    private let workspace: Workspace
    private let socket: String
    private let child: Child

    /// Starts it over `l1` and waits until it answers on its socket.
    ///
    /// - Parameter options: more of its command line.
    init(
        _ workspace: Workspace, l1: String, l2: Daemon?, _ deployment: Deployment, l3: String, options: [String] = []
    ) throws {
        self.workspace = workspace
        // A socket's path has at most 107 bytes, and scratch directories are deep.
        socket = "/run/layercache-bench.\(getpid()).\(workspace.number()).sock"
        child = try workspace.start(
            [
                try workspace.requireBinary(), "worker", "--socket", socket, "--l1", l1, "--l1-capacity", "4GiB",
                "--l3", l3, "--keyring", deployment.keyring,
            ] + (l2.map { ["--l2", $0.url] } ?? []) + options)
        pid = child.pid
        for _ in 0..<300 {
            if connects(to: socket) { return }
            guard !child.hasEnded else { throw BenchError("the worker ended: \(child.lastLine)") }
            usleep(50_000)
        }
        _ = child.terminate()
        throw BenchError("the worker does not listen on \(socket) after 15 s")
    }

    func mount(_ ref: String, at directory: String, prefetch: Prefetch) throws -> Child.Usage {
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        return try workspace.layercache(
            ["mount", ref, directory, "--socket", socket, "--prefetch", prefetch.rawValue, "--quiet"]
        ).usage
    }

    func unmount(_ directory: String) throws {
        _ = try workspace.layercache(["unmount", directory, "--socket", socket, "--quiet"])
    }

    func statistics(of directory: String) throws -> MountStatistics {
        try workspace.decode(try workspace.layercache(["stats", directory, "--socket", socket, "--json"]).output)
    }

    /// The numbers once nothing is fetched ahead any more: they stayed the same for a while, or ten seconds passed.
    func settledStatistics(of directory: String) throws -> MountStatistics {
        var last = try statistics(of: directory)
        for _ in 0..<40 {
            usleep(250_000)
            let now = try statistics(of: directory)
            if now == last { break }
            last = now
        }
        return last
    }

    /// The path of the device that is mounted at `directory`, and the process that answers for it.
    func device(of directory: String) throws -> (path: String, pid: pid_t) {
        struct Status: Decodable {
            struct Mount: Decodable { let dir, device: String }
            let pid: pid_t
            let mounts: [Mount]
        }
        let curl = try workspace.start([
            installed("curl") ?? "curl", "--silent", "--fail", "--unix-socket", socket, "http://worker/v1/status",
        ])
        _ = try curl.success()
        let status: Status = try workspace.decode(curl.output)
        guard let mount = status.mounts.first(where: { $0.dir == directory }) else {
            throw BenchError("the worker's status does not name \(directory)")
        }
        return (mount.device, status.pid)
    }

    func stop() {
        _ = child.terminate()
        unlink(socket)
    }

    private func connects(to path: String) -> Bool {
        let descriptor = Glibc.socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(descriptor) }
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8.prefix($0.count - 1)) }
        return withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size)) == 0
            }
        }
    }
}
