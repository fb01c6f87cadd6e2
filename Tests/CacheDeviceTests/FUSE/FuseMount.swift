import CacheClient
import CacheCore
import CacheDevice
import CacheFiles
import Foundation
import Logging
import NIOConcurrencyHelpers
import TestSupport

/// A FUSE filesystem that a test has mounted; unmounted and stopped by ``end()``, else cut off when it goes.
final class FuseMount: Sendable {
    static let isPossible = geteuid() == 0 && access("/dev/fuse", R_OK | W_OK) == 0
    static let reason = "mounting FUSE needs root and /dev/fuse"

    let directory: TemporaryDirectory
    let path: String
    let connection: [OpenFile]

    /// - Parameter descriptors: of the connection, the clones included.
    init(descriptors: Int = 1) throws {
        directory = try TemporaryDirectory()
        path = directory("mount")
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false)
        let first = try FuseFilesystem.mount(at: path)
        connection = [first] + (try (1..<descriptors).map { _ in try FuseFilesystem.clone(first) })
    }

    deinit {
        // Not there any more after `unmount()`.
        try? SystemMount.unmount(path, flags: [.force, .detach])
    }

    func file(_ name: String) -> String { "\(path)/\(name)" }

    /// A filesystem on it that answers.
    func serve(
        negotiated: FuseSession? = nil, threads: Int = 2, deadline: Duration = .seconds(30),
        events: FuseFilesystem.Events = .init(), logger: Logger = .quiet, time: TimeSource = .system
    ) throws -> FuseFilesystem {
        let filesystem = try FuseFilesystem(
            connection: connection, negotiated: negotiated, threads: threads, deadline: deadline,
            logger: logger, events: events, time: time)
        try filesystem.start()
        return filesystem
    }

    /// A program that another test of this process is just starting has copies of its open files for a moment.
    func unmount() async throws {
        try await eventually("an unused \(path)") {
            try await onThread { [path] in
                do throws(Errno) { try SystemMount.unmount(path) } catch .busy { return false }
                return true
            }
        }
    }
}

/// Runs what blocks for an answer of FUSE on a thread of its own: those of the cooperative pool are what answers.
func onThread<Result: Sendable>(_ body: @escaping @Sendable () throws -> Result) async throws -> Result {
    try await withCheckedThrowingContinuation { continuation in
        Thread.detachNewThread { continuation.resume(with: Swift.Result { try body() }) }
    }
}

/// Reads a piece of an open file.
func piece(of file: OpenFile, at offset: Int, _ count: Int) throws(Errno) -> [UInt8] {
    let room = UnsafeMutableRawBufferPointer.allocate(byteCount: count, alignment: 4096)
    defer { room.deallocate() }
    let got = try file.descriptor.readAll(into: room, at: offset)
    return Array(room[..<got])
}
