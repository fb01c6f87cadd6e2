import CacheCore
import CacheServer
import Foundation
import Logging
import NIOConcurrencyHelpers
import NIOCore
import ServiceLifecycle
import Synchronization
import Testing

/// The time by which a daemon under test goes: it stands still until the test moves it, so that no machine is too slow for a deadline.
final class ManualTime: Sendable {
    private let nanoseconds = Atomic<UInt64>(1 << 50)

    var serverTime: ServerTime {
        ServerTime(tick: .milliseconds(5)) { .uptimeNanoseconds(self.nanoseconds.load(ordering: .relaxed)) }
    }

    func advance(by duration: Duration) {
        nanoseconds.wrappingAdd(UInt64(TimeAmount(duration).nanoseconds), ordering: .relaxed)
    }
}

/// A real daemon on a real directory and a free port of the loopback interface, with a time of its own.
struct TestServer: Sendable {
    let port: Int
    let directory: String
    let time: ManualTime
    private let group: ServiceGroup

    /// The signal that a service manager would send.
    func stop() async {
        await group.triggerGracefulShutdown()
    }

    /// Lets time pass in steps until the caller has what it waits for and cancels this. After each step the daemon answers a request, so that no
    /// step is longer for it than it says.
    func passTime(in step: Duration) async {
        while !Task.isCancelled {
            time.advance(by: step)
            _ = try? await call("GET", url("/healthz"))
        }
    }

    /// Returns once `condition` holds for the daemon's numbers: asks again and again, and fails after five minutes.
    func until(
        sourceLocation: SourceLocation = #_sourceLocation, _ condition: (ServerStatistics) -> Bool
    ) async throws {
        let end = ContinuousClock.now + .seconds(300)
        while try await !condition(statistics()) {
            try #require(ContinuousClock.now < end, sourceLocation: sourceLocation)
        }
    }

    /// The same for one sample of `/metrics`.
    func until(
        _ sample: String, is value: Int, sourceLocation: SourceLocation = #_sourceLocation
    ) async throws {
        let end = ContinuousClock.now + .seconds(300)
        while try await metric(sample) != value {
            try #require(ContinuousClock.now < end, sourceLocation: sourceLocation)
        }
    }

    func metric(_ sample: String) async throws -> Int? {
        let lines = try await call("GET", url("/metrics")).text.split(separator: "\n")
        return lines.first { $0.hasPrefix(sample + " ") }.flatMap { Int($0.dropFirst(sample.count + 1)) }
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
        let time = ManualTime()
        let server = CacheServer(configuration: configuration, time: time.serverTime, logger: logger) { port in
            continuation.yield(port)
        }
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
            result = .success(try await body(TestServer(port: port, directory: store, time: time, group: group)))
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
        // By a pointer: a buffer's own ways to write a number cost a debug build a microsecond each.
        let words = [UInt64](unsafeUninitializedCapacity: (length + 7) / 8) { words, count in
            count = words.count
            var index = 0
            while index < count {
                words[index] = generator.next()
                index += 1
            }
        }
        self.init(words.withUnsafeBytes { ByteBuffer(bytes: UnsafeRawBufferPointer(rebasing: $0.prefix(length))) })
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
