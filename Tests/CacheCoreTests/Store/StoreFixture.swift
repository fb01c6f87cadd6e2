import CacheCore
import Glibc
import Logging
import NIOCore

/// A directory of its own under the system's temporary one, removed at the end.
final class ScratchDirectory: Sendable {
    let path: String

    init(in parent: String = "/tmp") throws {
        var template = Array("\(parent)/chunk-store-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw CacheError.system("make a temporary directory", .current) }
        path = template.withUnsafeBufferPointer { String(cString: $0.baseAddress ?? UnsafePointer(strdup("/tmp"))) }
    }

    deinit {
        for name in Self.names(path) { unlink("\(path)/\(name)") }
        for name in Self.names("\(path)-fuzz") { unlink("\(path)-fuzz/\(name)") }
        rmdir("\(path)-fuzz")
        rmdir(path)
    }

    /// Bytes that the files in it take, by their lengths.
    var bytes: UInt64 {
        Self.names(path).reduce(0) { sum, name in
            var status = stat()
            return stat("\(path)/\(name)", &status) == 0 ? sum + UInt64(status.st_size) : sum
        }
    }

    private static func names(_ path: String) -> [String] {
        guard let directory = opendir(path) else { return [] }
        defer { closedir(directory) }
        var names: [String] = []
        while let entry = readdir(directory) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name != "." && name != ".." { names.append(name) }
        }
        return names
    }
}

let quiet = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

func openStore(_ directory: ScratchDirectory, capacity: UInt64 = 64 << 20, touchInterval: UInt32 = 0) throws
    -> ChunkStore
{
    try ChunkStore.open(
        directory.path, options: .init(capacity: capacity, touchIntervalSeconds: touchInterval), logger: quiet)
}

/// Runs the other process of these tests.
struct Exerciser {
    let process: pid_t
    private let output: Int32

    init(_ arguments: [String]) throws {
        var ends: [Int32] = [0, 0]
        guard pipe(&ends) == 0 else { throw CacheError.system("pipe", .current) }
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_adddup2(&actions, ends[1], 1)
        let path = try Self.path()
        var words = ([path] + arguments).map { strdup($0) } + [nil]
        defer { for word in words { free(word) } }
        var process = pid_t(0)
        let code = posix_spawn(&process, path, &actions, nil, &words, environ)
        close(ends[1])
        guard code == 0 else { throw CacheError.system("start \(path)", Errno(rawValue: code)) }
        self.process = process
        output = ends[0]
    }

    /// Blocks until it has said something.
    func waitForOutput() {
        var byte = UInt8(0)
        _ = Glibc.read(output, &byte, 1)
    }

    /// Blocks until it ends: its wait status (0 is success) and the end of what it said.
    func wait() -> (status: Int32, output: String) {
        var said: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 65_536)
        while true {
            let count = Glibc.read(output, &buffer, buffer.count)
            if count <= 0 { break }
            said = Array((said + buffer[..<count]).suffix(400))
        }
        close(output)
        var status: Int32 = 0
        waitpid(process, &status, 0)
        return (status, String(decoding: said, as: UTF8.self))
    }

    /// It is built beside the tests.
    private static func path() throws -> String {
        for argument in ["/proc/self/exe"] + CommandLine.arguments {
            guard let resolved = realpath(argument, nil) else { continue }
            defer { free(resolved) }
            var parts = String(cString: resolved).split(separator: "/", omittingEmptySubsequences: false)
            while parts.count > 1 {
                parts.removeLast()
                let candidate = parts.joined(separator: "/") + "/store-exerciser"
                if access(candidate, X_OK) == 0 { return candidate }
            }
        }
        throw CacheError(.missing, "store-exerciser is not beside the tests (\(CommandLine.arguments))")
    }
}
