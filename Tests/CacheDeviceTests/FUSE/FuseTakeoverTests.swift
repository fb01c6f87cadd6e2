import CacheClient
import CacheCore
import CacheDevice
import CacheFiles
import Foundation
import TestSupport
import Testing

@Suite("FUSE that outlives its process", .enabled(if: FuseMount.isPossible, "\(FuseMount.reason)"))
struct FuseTakeoverTests {
    /// Starts a process that answers, with the descriptors of the mount, and waits until it does.
    private func serve(_ mount: FuseMount, _ sample: String) async throws -> Server {
        let log = try OpenFile.open(
            mount.directory("log-\(UUID().uuidString)"), [.readWrite, .createNew], mode: 0o600)
        let numbers = mount.connection.indices.map { Int32(10 + $0) }
        var spawn = ChildSpawn(
            program: try BuiltProgram.path("fuse-exerciser"),
            arguments: [
                "serve", numbers.map { "\($0)" }.joined(separator: ","), mount.directory("session"), sample, "device",
            ])
        spawn.files = zip(mount.connection, numbers).map { .init($0.descriptor, as: $1) }
        spawn.files += [.init(log.descriptor, as: 1), .init(log.descriptor, as: 2)]
        let server = Server(process: try spawn.start())
        try await eventually("a server") {
            try String(contentsOfFile: log.name, encoding: .utf8).contains("serves") || server.hasEnded
        }
        let said = try String(contentsOfFile: log.name, encoding: .utf8)
        #expect(!server.hasEnded, "\(said)")
        return server
    }

    /// Killed in the middle of reads, again and again, while another process is started with the same descriptors: the
    /// readers get every byte and no error. With one descriptor, and with several.
    @Test(arguments: [1, 3]) func killedServersAreFollowed(_ descriptors: Int) async throws {
        let mount = try FuseMount(descriptors: descriptors)
        var generator = SeededGenerator(seed: 5)
        try mount.directory.write("sample", generator.bytes(16 << 20))
        let sample = mount.directory("sample")
        var server = try await serve(mount, sample)
        let readers = try (0..<4).map { index in
            try ChildProcess(
                built: "fuse-exerciser",
                ["check", mount.file("device"), sample, "\(generator.next())", mount.directory("stop")])
        }
        for _ in 0..<12 {
            try await Task.sleep(for: .milliseconds(Int.random(in: 20...150, using: &generator)))
            server.kill()
            server = try await serve(mount, sample)
        }
        try mount.directory.write("stop", [])
        for reader in readers {
            let words = try await reader.wait().succeeded().split(separator: " ")
            let reads = try #require(words.first.flatMap { Int($0) })
            let stall = try #require(words.last.flatMap { Double($0.trimmingCharacters(in: .whitespacesAndNewlines)) })
            #expect(reads > 10, "seed \(generator.seed)")
            // Twelve deaths and no clock of ours: far below the 30 s after which a request fails.
            #expect(stall < 20_000)
            print("takeover with \(descriptors) descriptors: \(reads) reads, longest wait \(stall) ms")
        }
        try await mount.unmount()
        server.waitForEnd()
    }

    /// The filesystem that is stopped leaves what it was asked to the next one, in the same process too.
    @Test func aStopLeavesReadsToTheNext() async throws {
        let mount = try FuseMount()
        let first = try mount.serve()
        let hung = ScriptedDevice([.hangs])
        try first.insert(hung, name: "device", number: 2)
        let read = Task {
            try await onThread { try piece(of: OpenFile.open(mount.file("device"), .direct), at: 4096, 4096) }
        }
        try await eventually("a read that hangs") { hung.hanging == 1 }
        try await first.stop()
        let second = try mount.serve(negotiated: first.session)
        try second.insert(ScriptedDevice([]), name: "device", number: 2)
        try second.resendPending()
        #expect(try await read.value == [UInt8](repeating: 7, count: 4096))
        // Too late, and answered by nobody.
        hung.release()
        try await mount.unmount()
        try await second.stop()
    }

    /// Nothing of ours wakes a process that nobody asks. libdispatch has a timer of its own, which looks at its threads
    /// once a second.
    @Test func anIdleProcessSleeps() async throws {
        let mount = try FuseMount()
        try mount.directory.write("sample", [UInt8](repeating: 3, count: 1 << 20))
        let server = try await serve(mount, mount.directory("sample"))
        let stop = mount.directory("stop")
        let reader = try ChildProcess(
            built: "fuse-exerciser", ["check", mount.file("device"), mount.directory("sample"), "1", stop])
        try await Task.sleep(for: .milliseconds(200))
        try mount.directory.write("stop", [])
        try await reader.wait().succeeded()
        // The clock of the deadlines runs out with the last read, within a tick of 10 ms.
        try await eventually("a second in which nothing wakes up") {
            let before = try server.switches()
            try await Task.sleep(for: .seconds(1))
            return try server.switches() - before <= 4
        }
        try await mount.unmount()
        server.waitForEnd()
    }
}

/// A process that answers FUSE; killed when the last reference to it goes.
private final class Server: Sendable {
    private let process: SpawnedProcess

    init(process: SpawnedProcess) { self.process = process }

    deinit { kill() }

    /// Whether it has ended: its end is not taken, so that its number stays its own.
    var hasEnded: Bool {
        var info = siginfo_t()
        return waitid(P_PID, id_t(process.number), &info, WEXITED | WNOWAIT | WNOHANG) != 0
            || info._sifields._kill.si_pid != 0
    }

    func kill() {
        if hasEnded { return }
        Glibc.kill(process.number, SIGKILL)
        waitForEnd()
    }

    func waitForEnd() {
        var status: Int32 = 0
        waitpid(process.number, &status, 0)
    }

    /// How often its threads began or ceased to wait.
    func switches() throws -> Int {
        try FileManager.default.contentsOfDirectory(atPath: "/proc/\(process.number)/task").reduce(0) { sum, thread in
            let status = try String(contentsOfFile: "/proc/\(process.number)/task/\(thread)/status", encoding: .utf8)
            return sum
                + status.split(separator: "\n").filter { $0.contains("ctxt_switches") }
                .compactMap { $0.split(separator: "\t").last.flatMap { Int($0) } }.reduce(0, +)
        }
    }
}
