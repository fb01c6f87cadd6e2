import CacheCore
import CacheServer
import Foundation
import Logging
import NIOConcurrencyHelpers
import NIOCore
import ServiceLifecycle
import Testing

/// A real daemon on a real directory and a free port of the loopback interface.
struct TestServer: Sendable {
    let port: Int
    let directory: String
    private let group: ServiceGroup

    /// The signal that a service manager would send.
    func stop() async {
        await group.triggerGracefulShutdown()
    }

    func url(_ path: String) -> String { "http://127.0.0.1:\(port)\(path)" }
    func url(_ id: ChunkID) -> String { url("/v1/chunks/\(id.hex)") }

    /// Runs a daemon for as long as `body` runs, stops it as SIGTERM would, and expects it to return without an error.
    static func run<Value: Sendable>(
        in directory: String? = nil, memory: Int = 64 << 20, capacity: UInt64 = 1 << 30, threads: Int = 1,
        limits: ServerLimits = ServerLimits(),
        _ body: @escaping @Sendable (TestServer) async throws -> Value
    ) async throws -> Value {
        let temporary = directory == nil ? try TemporaryDirectory() : nil
        defer { temporary?.remove() }
        let store = directory ?? temporary?.path ?? ""
        let configuration = ServerConfiguration(
            storeDirectory: store, capacity: capacity, memoryBytes: memory, eventLoopThreads: threads, limits: limits)
        let (ports, continuation) = AsyncStream.makeStream(of: Int.self)
        let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        let server = CacheServer(configuration: configuration, logger: logger, onReady: { continuation.yield($0) })
        let group = ServiceGroup(configuration: .init(services: [.init(service: server)], logger: logger))
        async let outcome: Void = {
            defer { continuation.finish() }
            try await group.run()
        }()
        guard let port = await ports.first(where: { _ in true }) else {
            try await outcome
            throw CancellationError()
        }
        let result: Result<Value, any Error>
        do {
            result = .success(try await body(TestServer(port: port, directory: store, group: group)))
        } catch {
            result = .failure(error)
        }
        await group.triggerGracefulShutdown()
        try await outcome
        return try result.get()
    }
}

struct TemporaryDirectory {
    let path: String

    init() throws {
        path = FileManager.default.temporaryDirectory.appendingPathComponent("layercache-\(UUID().uuidString)").path
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }

    func remove() {
        try? FileManager.default.removeItem(atPath: path)
    }
}

/// Bytes that look like a sealed chunk, the same for the same seed.
struct TestChunk {
    let id: ChunkID
    let bytes: ByteBuffer

    init(seed: UInt64, length: Int = 100_000) {
        var generator = SplitMix(state: seed)
        var bytes = ByteBuffer()
        while bytes.readableBytes < length { bytes.writeInteger(generator.next()) }
        self.init(bytes.getSlice(at: 0, length: length) ?? ByteBuffer())
    }

    init(_ bytes: ByteBuffer) {
        self.bytes = bytes
        id = bytes.withUnsafeReadableBytes { ChunkID(ofSealed: $0) }
    }
}

/// SplitMix64 (Steele et al., OOPSLA 2014): a seeded generator for tests.
struct SplitMix: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}
