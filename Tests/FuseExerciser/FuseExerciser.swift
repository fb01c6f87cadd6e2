import CacheClient
import CacheCore
import CacheDevice
import CacheFiles
import Foundation
import Glibc
import Logging
import TestSupport

/// The tests' other process: answers FUSE and is killed by them, or reads a device and compares it with the file that
/// it should be.
@main
struct FuseExerciser {
    struct Misuse: Error {}

    /// `serve DESCRIPTORS SESSION FILE NAME`: serves FILE as NAME over the descriptors with those numbers (`5,6`),
    /// after a process before if there is a file SESSION. Else it writes that. Prints a line once it answers.
    ///
    /// `show DIRECTORY FILE THREADS DESCRIPTORS`: mounts at DIRECTORY and shows FILE there as `device`, from memory and
    /// in chunks of 512 KiB, until it is unmounted: for measurements by hand.
    ///
    /// `check DEVICE FILE SEED STOP`: reads DEVICE in random pieces, past the page cache, until there is a file STOP,
    /// and compares each with FILE. Prints how many there were, and the longest wait in milliseconds.
    static func main() async throws {
        let arguments = Array(CommandLine.arguments.dropFirst())
        switch arguments.first {
        case "serve" where arguments.count == 5:
            try await serve(arguments[1], arguments[2], arguments[3], arguments[4])
        case "show" where arguments.count == 5:
            try await show(arguments[1], arguments[2], Int(arguments[3]) ?? 1, Int(arguments[4]) ?? 1)
        case "check" where arguments.count == 5:
            try check(arguments[1], arguments[2], seed: UInt64(arguments[3]) ?? 0, until: arguments[4])
        default:
            throw Misuse()
        }
    }

    static func serve(_ descriptors: String, _ sessionPath: String, _ path: String, _ name: String) async throws {
        let connection = descriptors.split(separator: ",").compactMap { Int32($0) }.map {
            OpenFile(adopting: Descriptor(rawValue: $0), name: "FUSE")
        }
        var session: FuseSession?
        if FileManager.default.fileExists(atPath: sessionPath) {
            session = try JSONDecoder().decode(
                FuseSession.self, from: Data(contentsOf: URL(fileURLWithPath: sessionPath)))
        }
        var events = FuseFilesystem.Events()
        events.negotiated = { session in
            do {
                try JSONEncoder().encode(session).write(to: URL(fileURLWithPath: sessionPath), options: .atomic)
            } catch {
                fatalError("the session cannot be kept: \(error)")
            }
        }
        events.ended = { reason in exit(reason == nil ? 0 : 1) }
        let filesystem = try FuseFilesystem(
            connection: connection, negotiated: session, threads: 3, logger: Logger(label: "fuse-exerciser"),
            events: events)
        let device = try SlowDevice(path)
        try filesystem.expect(2, name: name, byteCount: device.byteCount)
        try filesystem.start()
        if session != nil { try filesystem.resendPending() }
        try filesystem.insert(device, name: name, number: 2)
        FileHandle.standardOutput.write(Data("serves\n".utf8))
        while true { try await Task.sleep(for: .seconds(3600)) }
    }

    static func show(_ directory: String, _ path: String, _ threads: Int, _ descriptors: Int) async throws {
        let first = try FuseFilesystem.mount(at: directory)
        let clones = try (1..<descriptors).map { _ in try FuseFilesystem.clone(first) }
        var events = FuseFilesystem.Events()
        events.ended = { reason in exit(reason == nil ? 0 : 1) }
        let filesystem = try FuseFilesystem(
            connection: [first] + clones, threads: threads, logger: Logger(label: "fuse-exerciser"), events: events)
        try filesystem.insert(try MemoryDevice(path), name: "device", number: 2)
        try filesystem.start()
        FileHandle.standardOutput.write(Data("serves\n".utf8))
        while true { try await Task.sleep(for: .seconds(3600)) }
    }

    static func check(_ device: String, _ path: String, seed: UInt64, until stop: String) throws {
        let file = try OpenFile.open(path)
        let shown = try OpenFile.open(device, .direct)
        let size = try file.status().size
        let mostBytes = 1 << 20
        let got = UnsafeMutableRawBufferPointer.allocate(byteCount: mostBytes, alignment: 4096)
        let wanted = UnsafeMutableRawBufferPointer.allocate(byteCount: mostBytes, alignment: 4096)
        defer {
            got.deallocate()
            wanted.deallocate()
        }
        var generator = SeededGenerator(seed: seed)
        var longest = Duration.zero
        var reads = 0
        while access(stop, F_OK) != 0 {
            let offset = Int.random(in: 0..<size / 4096, using: &generator) * 4096
            let count = min(Int.random(in: 1...mostBytes / 4096, using: &generator) * 4096, size - offset)
            let start = ContinuousClock.now
            let room = UnsafeMutableRawBufferPointer(rebasing: got[..<count])
            guard try shown.descriptor.readAll(into: room, at: offset) == count else {
                fatalError("seed \(seed): a read of \(count) bytes at \(offset) was short")
            }
            longest = max(longest, start.duration(to: .now))
            _ = try file.descriptor.readAll(into: UnsafeMutableRawBufferPointer(rebasing: wanted[..<count]), at: offset)
            guard let left = got.baseAddress, let right = wanted.baseAddress, memcmp(left, right, count) == 0 else {
                fatalError("seed \(seed): wrong bytes in \(count) at \(offset)")
            }
            reads += 1
        }
        print(reads, longest / .milliseconds(1))
    }
}
