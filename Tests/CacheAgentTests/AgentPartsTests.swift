import CacheAgent
import CacheClient
import CacheCore
import CacheFiles
import Foundation
import TestSupport
import Testing

@Suite struct WorkerPlaceTests {
    @Test("one worker at a time has a place, and it is free when the last descriptor of its lock is closed")
    func lock() async throws {
        let directory = try TemporaryDirectory()
        let place = WorkerPlace(socket: directory("run/worker.sock"))
        #expect(!place.isTaken)
        var lock: OpenFile? = try place.take()
        #expect(place.isTaken)
        let error = #expect(throws: CacheError.self) { try place.take() }
        #expect(error?.code == .conflict)
        withExtendedLifetime(lock) {}
        lock = nil
        // A program that another test is just starting has a copy for a moment.
        try await eventually("a place that is free") { !place.isTaken }
        _ = try place.take()
        place.remove()
        #expect(FileStatus.find(place.directory) == nil)
    }

    @Test("a directory that others may write to is no place")
    func permissions() throws {
        let directory = try TemporaryDirectory()
        let place = WorkerPlace(socket: directory("worker.sock"))
        try FileManager.default.createDirectory(atPath: place.directory, withIntermediateDirectories: false)
        try FileManager.default.setAttributes([.posixPermissions: 0o777], ofItemAtPath: place.directory)
        let error = #expect(throws: CacheError.self) { try place.take() }
        #expect(error?.code == .invalidInput)
    }

    @Test("what a dead worker left is removed, but not what is not its own")
    func clears() throws {
        let directory = try TemporaryDirectory()
        let place = WorkerPlace(socket: directory("worker.sock"), scratch: directory("scratch"))
        let lock = try place.take()
        for path in [place.table, place.session, place.socket, directory("other")] {
            try Data("{}".utf8).write(to: URL(fileURLWithPath: path))
        }
        try FileManager.default.createDirectory(
            atPath: "\(place.scratch)/7/upper/a", withIntermediateDirectories: true)
        #expect(try place.clear().isEmpty)
        #expect(try FileManager.default.contentsOfDirectory(atPath: place.directory) == ["lock"])
        #expect(Set(try FileManager.default.contentsOfDirectory(atPath: directory.path)) == ["other", "worker"])
        withExtendedLifetime(lock) {}
    }
}

@Suite struct MountTableTests {
    private let record = MountRecord(
        ref: "acme/one:latest", manifest: String(repeating: "ab", count: 32), generation: 1, dir: "/m\n \"", number: 2,
        bytes: 4096, scratch: 3, prefetch: .trace, keyring: "/keys.json")

    @Test("what was saved is there for the next process")
    func survives() async throws {
        let directory = try TemporaryDirectory()
        let table = try MountTable(directory("mounts.json"))
        #expect(table.contents.mounts.isEmpty)
        var contents = table.contents
        contents.mounts = [record]
        contents.nextNumber = 4
        try await table.save(contents)
        #expect(try MountTable(directory("mounts.json")).contents == contents)
        #expect(FileStatus.find(directory("mounts.json"))?.permissions == 0o600)
        try await table.close()
    }

    @Test(
        "a table that is cut off or of something else is one clear error", arguments: ["", "{", "[]", #"{"mounts":1}"#])
    func damaged(text: String) throws {
        let directory = try TemporaryDirectory()
        try Data(text.utf8).write(to: URL(fileURLWithPath: directory("mounts.json")))
        let error = #expect(throws: CacheError.self) { try MountTable(directory("mounts.json")) }
        #expect(error?.description.contains("mounts.json") == true)
    }
}
