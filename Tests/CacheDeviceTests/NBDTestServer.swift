import CacheClient
import CacheDevice
import Foundation
import NIOPosix
import ServiceLifecycle
import TestSupport

/// An NBD server in the process of the tests, on a socket of its own.
struct NBDTestServer: Sendable {
    let path: String
    let directory: TemporaryDirectory
    private let group: ServiceGroup

    var uri: String { "nbd+unix:///?socket=\(path)" }

    /// What a service manager's signal would bring about.
    func stop() async { await group.triggerGracefulShutdown() }

    /// Runs a server for as long as `body` runs, and throws if either does.
    static func run<Value>(
        _ device: any BlockDevice, name: String = "acme/app:1", limits: NBDLimits = NBDLimits(),
        _ body: (NBDTestServer) async throws -> Value
    ) async throws -> Value {
        let directory = try TemporaryDirectory()
        let path = directory("s")
        let (ready, continuation) = AsyncStream.makeStream(of: Void.self)
        let server = NBDServer(device: device, name: name, path: path, limits: limits, logger: .quiet) {
            continuation.yield()
        }
        let group = ServiceGroup(configuration: .init(services: [.init(service: server)], logger: .quiet))
        let running = Task {
            defer { continuation.finish() }
            try await group.run()
        }
        guard await ready.first(where: { _ in true }) != nil else {
            try await running.value
            throw CancellationError()
        }
        let result: Result<Value, any Error>
        do {
            result = .success(try await body(NBDTestServer(path: path, directory: directory, group: group)))
        } catch {
            result = .failure(error)
        }
        await group.triggerGracefulShutdown()
        try await running.value
        return try result.get()
    }

    /// Runs what blocks on a thread that may be blocked.
    func blocking<Value: Sendable>(_ body: @escaping @Sendable () throws -> Value) async throws -> Value {
        try await NIOThreadPool.singleton.runIfActive(body)
    }

    /// Runs a program of the system, which must end with status 0.
    func tool(_ program: String, _ arguments: [String]) async throws -> String {
        try await ChildProcess(program, arguments).wait().succeeded()
    }
}

/// A file of random bytes with holes, and the device that shows it.
struct SampleFile {
    let directory: TemporaryDirectory
    let device: HookedDevice
    let bytes: [UInt8]
    let seed: UInt64

    var path: String { directory("device") }

    /// - Parameters:
    ///   - size: a multiple of 4096.
    ///   - holes: where it has zeros.
    init(_ size: Int, holes: [Range<UInt64>] = []) throws {
        directory = try TemporaryDirectory()
        var generator = SeededGenerator()
        seed = generator.seed
        var bytes = generator.bytes(size)
        for hole in holes {
            bytes.replaceSubrange(
                Int(hole.lowerBound)..<Int(hole.upperBound), with: repeatElement(0, count: hole.count))
        }
        try directory.write("device", bytes)
        self.bytes = bytes
        device = HookedDevice(device: try FileDevice(directory("device")), holes: holes)
    }
}
