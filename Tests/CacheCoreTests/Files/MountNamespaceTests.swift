import CacheBase
import CacheFiles
import Foundation
import TestSupport
import Testing

@Suite(
    "Mount namespaces", .enabled(if: geteuid() == 0 && BuiltProgram.isInstalled("unshare"), "needs root and unshare"))
struct MountNamespaceTests {
    @Test("what runs in another namespace sees its files and mounts, and nothing else does")
    func entered() async throws {
        let directory = try TemporaryDirectory()
        let target = try #require(realpath(directory.path, nil).map { String(cString: $0) })
        let script = #"mount -t tmpfs inner "$1" && echo inside >"$1/name" && echo ready && exec sleep 1000"#
        let process = try ChildProcess(
            "unshare", ["--mount", "--propagation", "private", "/bin/sh", "-c", script, "sh", target])
        defer { process.kill() }
        _ = try await process.firstLine()
        let namespace = MountNamespace(try OpenFile.open("/proc/\(process.pid)/ns/mnt"))
        defer { namespace.close() }
        for _ in 0..<4 {
            let (text, entry) = try await namespace.run {
                (try String(contentsOfFile: "\(target)/name", encoding: .utf8), try SystemMount.entry(at: target))
            }
            #expect(text == "inside\n" && entry?.source == FileName("inner"))
            #expect(FileStatus.find("\(target)/name") == nil)
            #expect(try await MountNamespace.own.run { try SystemMount.entry(at: target) } == nil)
        }
        // Its open files are those of the process, unlike those of a thread that has entered alone.
        let file = try await namespace.run { try OpenFile.open("\(target)/name") }
        #expect(try file.wholeRange().readAll(atMost: 100) == Array("inside\n".utf8))
    }

    @Test("what is no namespace is refused in one line")
    func noNamespace() async throws {
        let directory = try TemporaryDirectory()
        try Data().write(to: URL(fileURLWithPath: directory("file")))
        let namespace = MountNamespace(try OpenFile.open(directory("file")))
        defer { namespace.close() }
        let error = await #expect(throws: CacheError.self) { try await namespace.run {} }
        #expect(error.map { "\($0)".contains("enter the host's mount namespace") } == true)
    }
}
