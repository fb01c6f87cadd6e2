import CacheCore
import CacheFiles
import Foundation
import TestSupport
import Testing

@Suite("Programs that are started with open files")
struct ChildSpawnTests {
    /// Numbers that cross: each file arrives under its own.
    @Test func filesArriveUnderTheirNumbers() throws {
        let directory = try TemporaryDirectory()
        try Data("first".utf8).write(to: URL(fileURLWithPath: directory("1")))
        try Data("second".utf8).write(to: URL(fileURLWithPath: directory("2")))
        let first = try OpenFile.open(directory("1"))
        let second = try OpenFile.open(directory("2"))
        let kept = try OpenFile.open(directory("kept"), [.writeOnly, .createNew], mode: 0o600)
        let output = try OpenFile.open(directory("out"), [.writeOnly, .createNew], mode: 0o600)
        var spawn = ChildSpawn(
            program: "sh",
            arguments: ["-c", "cat /proc/self/fd/\(second.descriptor.rawValue); echo; ls -l /proc/self/fd"])
        spawn.files = [
            .init(first.descriptor, as: second.descriptor.rawValue),
            .init(second.descriptor, as: first.descriptor.rawValue),
            .init(output.descriptor, as: 1),
        ]
        #expect(try spawn.start().wait() == .exited(status: 0))
        let text = try String(contentsOfFile: directory("out"), encoding: .utf8)
        #expect(text.hasPrefix("first\n"))
        #expect(text.contains(" \(second.descriptor.rawValue) -> \(first.name)\n"))
        #expect(text.contains(" \(first.descriptor.rawValue) -> \(second.name)\n"))
        #expect(!text.contains(kept.name))
    }

    @Test func theEndSaysHow() throws {
        #expect(try ChildSpawn(program: "sh", arguments: ["-c", "exit 7"]).start().wait() == .exited(status: 7))
        let sleeper = try ChildSpawn(program: "sleep", arguments: ["600"]).start()
        #expect(try sleeper.endIfEnded() == nil)
        try sleeper.signal(SIGKILL)
        #expect(try sleeper.wait() == .killed(signal: SIGKILL))
    }

    @Test func whatIsNoProgramIsAnError() {
        #expect(throws: CacheError.self) { try ChildSpawn(program: "/nowhere/at all", arguments: []).start() }
    }
}
