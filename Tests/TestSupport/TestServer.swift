package import CacheServer
import Logging
import ServiceLifecycle

/// A daemon in the process of the tests, on a real directory and a free port of the loopback interface.
package struct TestServer: Sendable {
    package let port: Int
    package let directory: String
    /// The time by which it goes.
    package let time: ManualClock
    private let group: ServiceGroup

    package var url: String { "http://127.0.0.1:\(port)" }

    /// The signal that a service manager would send.
    package func stop() async {
        await group.triggerGracefulShutdown()
    }

    /// Runs a daemon for as long as `body` runs, stops it as SIGTERM would, and throws if the daemon does.
    ///
    /// - Parameters:
    ///   - directory: of its store; by default one that is removed at the end.
    ///   - memory: bytes of its memory tier.
    ///   - capacity: bytes of its store.
    ///   - security: whom it lets in.
    ///   - scrub: bytes a second that its scrub reads.
    ///   - host: the address of the loopback interface that it listens on; `port`: 0 for a free one.
    package static func run<Value>(
        in directory: String? = nil, memory: Int = 64 << 20, capacity: UInt64 = 1 << 30, threads: Int = 1,
        limits: ServerLimits = ServerLimits(), security: ServerSecurity = ServerSecurity(),
        scrub: Int = 0, host: String = "127.0.0.1", port: Int = 0,
        _ body: (TestServer) async throws -> Value
    ) async throws -> Value {
        let temporary = try directory == nil ? TemporaryDirectory() : nil
        defer { withExtendedLifetime(temporary) {} }
        let store = directory ?? temporary?.path ?? ""
        var configuration = ServerConfiguration(
            host: host, port: port, storeDirectory: store, capacity: capacity, memoryBytes: memory,
            eventLoopThreads: threads, limits: limits)
        configuration.security = security
        configuration.scrubBytesPerSecond = scrub
        let (ports, continuation) = AsyncStream.makeStream(of: Int.self)
        let time = ManualClock()
        let server = CacheServer(configuration: configuration, time: time.serverTime, logger: .quiet) { port in
            continuation.yield(port)
        }
        let group = ServiceGroup(configuration: .init(services: [.init(service: server)], logger: .quiet))
        let running = Task {
            defer { continuation.finish() }
            try await group.run()
        }
        guard let port = await ports.first(where: { _ in true }) else {
            try await running.value
            throw CancellationError()
        }
        let result: Result<Value, any Error>
        do {
            result = .success(try await body(TestServer(port: port, directory: store, time: time, group: group)))
        } catch {
            result = .failure(error)
        }
        await group.triggerGracefulShutdown()
        try await running.value
        return try result.get()
    }
}
