import CacheCore
import CacheServer
import Foundation
import Logging
import NIOCore
import ServiceLifecycle
import TestSupport
import Testing

/// Start, stop, start again: what a service manager and a disk do to a daemon.
struct ServerLifecycleTests {
    @Test func restartKeepsChunks() async throws {
        let directory = try TemporaryDirectory()
        let chunks = (0..<20).map { TestChunk(seed: $0) }
        try await TestServer.run(in: directory.path) { server async throws in
            for chunk in chunks { #expect(try await server.put(chunk).status == 201) }
        }
        try await TestServer.run(in: directory.path) { server async throws in
            for chunk in chunks { #expect(try await server.get(chunk).body == chunk.bytes) }
            #expect(try await server.put(chunks[0]).status == 200)
            #expect(try await server.statistics().disk.chunks == chunks.count)
        }
    }

    @Test func requestUnderWayIsFinishedBeforeTheEnd() async throws {
        let directory = try TemporaryDirectory()
        let chunk = TestChunk(seed: 1)
        try await TestServer.run(in: directory.path) { server async throws in
            try await RawConnection.open(server.port) { idle async throws in
                try await idle.send("GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n")
                #expect(try await idle.response()?.status == 200)
                try await RawConnection.open(server.port) { connection async throws in
                    try await connection.send(
                        "PUT /v1/chunks/\(chunk.id.hex) HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n"
                            + "Content-Length: \(chunk.bytes.readableBytes)\r\n\r\n")
                    #expect(try await connection.response()?.status == 100)
                    await server.stop()
                    #expect(try await idle.isClosed())
                    try await connection.send(chunk.bytes)
                    let stored = try #require(try await connection.response())
                    #expect(stored.status == 201)
                    #expect(stored.head.contains("Connection: close"))
                    #expect(try await connection.isClosed())
                }
            }
            await #expect(throws: (any Error).self) {
                try await RawConnection.open(server.port) { _ async throws in }
            }
        }
        try await TestServer.run(in: directory.path) { server async throws in
            #expect(try await server.get(chunk).body == chunk.bytes)
        }
    }

    @Test func requestThatNeverEndsDoesNotHoldTheEndUp() async throws {
        let limits = ServerLimits()
        try await TestServer.run(limits: limits) { server async throws in
            try await RawConnection.open(server.port) { idle async throws in
                try await idle.send("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
                #expect(try await idle.response()?.status == 200)
                try await RawConnection.open(server.port) { connection async throws in
                    try await connection.send(
                        "PUT /v1/chunks/\(TestChunk(seed: 1).id.hex) HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n"
                            + "Content-Length: 1000\r\n\r\n")
                    #expect(try await connection.response()?.status == 100)
                    await server.stop()
                    // The end has begun.
                    #expect(try await idle.isClosed())
                    server.time.advance(by: limits.drainTime)
                    #expect(try await connection.isClosed())
                }
            }
        }
    }

    @Test func cancellationEndsTheServer() async throws {
        let directory = try TemporaryDirectory()
        let (ports, continuation) = AsyncStream.makeStream(of: Int.self)
        let server = CacheServer(
            configuration: ServerConfiguration(storeDirectory: directory.path, capacity: 1 << 28), logger: .quiet,
            onReady: { continuation.yield($0) })
        let task = Task { try await server.run() }
        let port = try #require(await ports.first { _ in true })
        try await RawConnection.open(port) { connection async throws in
            try await connection.send("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
            #expect(try await connection.response()?.status == 200)
            task.cancel()
            #expect(try await connection.isClosed())
        }
        try await task.value
    }

    @Test func addressInUseIsOneClearError() async throws {
        try await TestServer.run { server async throws in
            let directory = try TemporaryDirectory()
            let second = CacheServer(
                configuration: ServerConfiguration(
                    port: server.port, storeDirectory: directory.path, capacity: 1 << 28),
                logger: .quiet)
            let error = await #expect(throws: CacheError.self) { try await second.run() }
            #expect(error?.code == .io)
            #expect(error?.description.contains("127.0.0.1:\(server.port)") == true)
        }
    }

    @Test func storeThatCannotBeOpenedIsOneClearError() async throws {
        let directory = try TemporaryDirectory()
        let file = directory.path + "/file"
        #expect(FileManager.default.createFile(atPath: file, contents: Data("x".utf8)))
        let server = CacheServer(
            configuration: ServerConfiguration(storeDirectory: file, capacity: 1 << 28),
            logger: .quiet)
        let error = await #expect(throws: CacheError.self) { try await server.run() }
        #expect(error?.description.contains(file) == true)
    }

    @Test func senselessConfigurationIsRefused() async throws {
        var configuration = ServerConfiguration(storeDirectory: "/nonexistent", capacity: 1 << 28)
        configuration.limits.connections = 0
        let server = CacheServer(
            configuration: configuration, logger: .quiet)
        let error = await #expect(throws: CacheError.self) { try await server.run() }
        #expect(error?.code == .invalidInput)
    }
}
