import Foundation

/// A server on a loopback port: ours, or a yardstick.
struct Daemon {
    let port: Int
    private let host: String
    private let isSecured: Bool
    private let child: Child

    /// Starts `command`, which must listen on `port`, and waits until it does.
    private init(
        _ command: [String], host: String = "127.0.0.1", port: Int, isSecured: Bool = false, _ workspace: Workspace
    ) throws {
        self.host = host
        self.port = port
        self.isSecured = isSecured
        child = try workspace.start(command)
        for _ in 0..<300 {
            if (try? Connection(host: host, port: port)) != nil { return }
            guard !child.hasEnded else { throw BenchError("\(command[0]) ended: \(child.lastLine)") }
            usleep(50_000)
        }
        _ = child.terminate()
        throw BenchError("\(command[0]) does not listen on port \(port) after 15 s")
    }

    func stop() { _ = child.terminate() }

    /// Ends it as a crash does.
    func crash() {
        kill(child.pid, SIGKILL)
        _ = child.end()
    }

    var processorSeconds: Double { child.processorSeconds }

    func signal(_ number: Int32) { kill(child.pid, number) }

    var url: String { "http\(isSecured ? "s" : "")://\(host):\(port)" }

    /// One thread serves the network, as with the yardsticks.
    /// - Parameters:
    ///   - host: an address of the loopback interface.
    ///   - port: by default one that is free.
    static func layercache(
        _ workspace: Workspace, store: String, memory: String, threads: Int = 1, host: String = "127.0.0.1",
        port: Int? = nil, tls: (certificate: String, key: String)? = nil, options: [String] = []
    ) throws -> Daemon {
        let port = try port ?? freePort()
        let security = tls.map { ["--tls-cert", $0.certificate, "--tls-key", $0.key] } ?? []
        return try Daemon(
            [
                try workspace.requireBinary(), "server", "--listen", "\(host):\(port)", "--store", store,
                "--capacity",
                "4GiB", "--memory", memory, "--threads", "\(threads)", "--quiet",
            ] + security + options, host: host, port: port, isSecured: tls != nil, workspace)
    }

    /// One worker with sendfile and nothing written per request.
    static func nginx(
        _ workspace: Workspace, root: String, tls: (certificate: String, key: String)? = nil
    ) throws -> Daemon? {
        guard let program = installed("nginx") else { return nil }
        let port = try freePort()
        let home = try workspace.freshDirectory("nginx")
        let security = tls.map { "ssl_certificate \($0.certificate); ssl_certificate_key \($0.key);" } ?? ""
        let user = getuid() == 0 ? "user root;" : ""
        let configuration = """
            \(user) daemon off; worker_processes 1; pid \(home)/pid; error_log \(home)/error.log;
            events { worker_connections 1024; }
            http {
                access_log off; sendfile on; tcp_nopush on; tcp_nodelay on; keepalive_requests 1000000000;
                open_file_cache max=10000 inactive=60s; default_type application/octet-stream;
                client_body_temp_path \(home)/body; proxy_temp_path \(home)/proxy; fastcgi_temp_path \(home)/fastcgi;
                uwsgi_temp_path \(home)/uwsgi; scgi_temp_path \(home)/scgi;
                server { listen 127.0.0.1:\(port)\(tls == nil ? "" : " ssl"); \(security) root \(root); }
            }
            """
        try configuration.write(toFile: "\(home)/nginx.conf", atomically: false, encoding: .utf8)
        return try Daemon(
            [program, "-p", home, "-c", "\(home)/nginx.conf"], port: port, isSecured: tls != nil, workspace)
    }

    /// In memory only: nothing is written to disk.
    static func redis(_ workspace: Workspace) throws -> Daemon? {
        guard let program = installed("redis-server") else { return nil }
        let port = try freePort()
        return try Daemon(
            [program, "--port", "\(port)", "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"], port: port,
            workspace)
    }

    /// A port that is free at this moment.
    static func freePort() throws -> Int {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(descriptor) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = inet_addr("127.0.0.1")
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let status = withUnsafeMutablePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
                bind(descriptor, address, length) == 0 ? getsockname(descriptor, address, &length) : -1
            }
        }
        guard status == 0 else { throw BenchError("no free port on loopback") }
        return Int(UInt16(bigEndian: address.sin_port))
    }
}
