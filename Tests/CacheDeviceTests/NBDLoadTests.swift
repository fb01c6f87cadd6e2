import CacheCore
import CacheDevice
import CacheFiles
import Foundation
import NIOConcurrencyHelpers
import NIOCore
import ServiceLifecycle
import TestSupport
import Testing

/// Many clients, slow ones, silent ones, and the end of the server under them.
@Suite struct NBDLoadTests {
    @Test("64 connections, each with requests of its own")
    func connections() async throws {
        let sample = try SampleFile(4 << 20)
        try await NBDTestServer.run(sample.device) { server in
            try await server.blocking {
                let clients = try (0..<64).map { _ in
                    let client = try NBDClient(server.path)
                    try client.begin(structured: false)
                    return client
                }
                for (index, client) in clients.enumerated() {
                    for number in 0..<8 {
                        try client.sendRequest(
                            0, cookie: UInt64(number), offset: UInt64((index * 8 + number) * 8192), length: 8192)
                    }
                }
                for (index, client) in clients.enumerated() {
                    for _ in 0..<8 {
                        let reply = try client.reply(8192)
                        let start = (index * 8 + Int(reply.cookie)) * 8192
                        #expect(reply.error == 0)
                        #expect(Array(reply.data.readableBytesView) == Array(sample.bytes[start..<start + 8192]))
                    }
                }
            }
        }
    }

    @Test("a connection beyond the limit is closed, and its place is free once another ends")
    func limit() async throws {
        let sample = try SampleFile(4096)
        var limits = NBDLimits()
        limits.connections = 2
        try await NBDTestServer.run(sample.device, limits: limits) { server in
            try await server.blocking {
                let first = try NBDClient(server.path)
                try first.begin()
                do {
                    let second = try NBDClient(server.path)
                    try second.begin()
                    #expect(try NBDClient(server.path).isClosed())
                }
            }
            // The server learns of the end of the second in its own time.
            try await eventually("a place") {
                try await server.blocking { (try? NBDClient(server.path).begin()) != nil }
            }
        }
    }

    @Test("a client that does not come to an end of its negotiation is cut off, one that has is not")
    func negotiationTime() async throws {
        let sample = try SampleFile(4096)
        var limits = NBDLimits()
        limits.negotiationTime = .milliseconds(300)
        try await NBDTestServer.run(sample.device, limits: limits) { server in
            try await server.blocking {
                let patient = try NBDClient(server.path)
                try patient.begin()
                let silent = try NBDClient(server.path)
                let slow = try NBDClient(server.path)
                try slow.greet()
                _ = try slow.ask(8)
                #expect(try silent.isClosed())
                #expect(try slow.isClosed())
                #expect(try patient.read(at: 0, count: 4096).bytes == sample.bytes)
            }
        }
    }

    @Test("a client that asks for much and reads nothing makes the server hold a bounded part of it")
    func slowClient() async throws {
        let sample = try SampleFile(32 << 20)
        var device = sample.device
        let read = NIOLockedValueBox(0)
        device.beforeRead = { _, count in read.withLockedValue { $0 += count } }
        var limits = NBDLimits()
        limits.bytesInFlight = 4 << 20
        try await NBDTestServer.run(device, limits: limits) { server in
            try await server.blocking {
                let slow = try NBDClient(server.path)
                try slow.begin()
                for cookie in 0..<16 as Range<UInt64> {
                    try slow.sendRequest(0, cookie: cookie, offset: 0, length: 32 << 20)
                }
                // Others are served meanwhile, which also gives the server time to read ahead if it would.
                let other = try NBDClient(server.path)
                try other.begin()
                for number in 0..<200 as Range<UInt64> {
                    let bytes = try other.read(at: number * 4096, count: 4096).bytes
                    #expect(bytes == Array(sample.bytes[Int(number) * 4096..<Int(number + 1) * 4096]))
                }
                // Beside the bound there is what the kernel holds of a socket.
                #expect(read.withLockedValue { $0 } <= (4 << 20) + (2 << 20) + 200 * 4096)
                // Once it reads, it gets all that it asked for.
                var left = 16
                var bytes = 0
                while left > 0 {
                    let reply = try slow.reply()
                    #expect(reply.error == 0)
                    bytes += reply.data.readableBytes - 8
                    if reply.isLast { left -= 1 }
                }
                #expect(bytes == 16 * (32 << 20))
            }
        }
    }

    @Test("stopping answers what was asked, and leaves neither a socket file nor a descriptor")
    func stop() async throws {
        let sample = try SampleFile(1 << 20)
        var paths: [String] = []
        for _ in 0..<3 {
            var device = sample.device
            let (asked, asking) = AsyncStream.makeStream(of: Void.self)
            let (gate, opener) = AsyncStream.makeStream(of: Void.self)
            device.beforeRead = { _, _ in
                asking.yield()
                for await _ in gate { return }
            }
            try await NBDTestServer.run(device) { server in
                paths.append(server.path)
                // The table is no snapshot: while others open and close sockets, a look may miss one.
                try await eventually("the socket in the system's table") { try !sockets([server.path]).isEmpty }
                let answers = Task {
                    try await server.blocking {
                        let idle = try NBDClient(server.path)
                        try idle.begin()
                        let client = try NBDClient(server.path)
                        try client.begin(structured: false)
                        try client.sendRequest(0, cookie: 5, offset: 0, length: 4096)
                        let reply = try client.reply(4096)
                        #expect(reply.error == 0 && reply.cookie == 5)
                        #expect(Array(reply.data.readableBytesView) == Array(sample.bytes[..<4096]))
                        #expect(try client.isClosed())
                        #expect(try idle.isClosed())
                    }
                }
                _ = await asked.first { _ in true }
                await server.stop()
                try await eventually("no socket file") { server.directory.names().isEmpty }
                opener.yield()
                try await answers.value
            }
        }
        for _ in 0..<5 { #expect(try sockets(paths).isEmpty) }
    }

    /// Open sockets of the system whose address is one of `paths`: those that listen, and those that they accepted.
    private func sockets(_ paths: [String]) throws -> [Substring] {
        let table = try String(contentsOfFile: "/proc/self/net/unix", encoding: .utf8)
        return table.split(separator: "\n").filter { line in paths.contains { line.hasSuffix($0) } }
    }

    @Test("the socket is its owner's alone; a dead one is replaced, a living one and another file are not")
    func socketFile() async throws {
        let sample = try SampleFile(4096)
        try await NBDTestServer.run(sample.device) { server in
            let status = try #require(try? FileManager.default.attributesOfItem(atPath: server.path))
            #expect(status[.posixPermissions] as? Int == 0o600)
            #expect(status[.type] as? FileAttributeType == .typeSocket)
            let second = NBDServer(device: sample.device, name: "b", path: server.path, logger: .quiet)
            await #expect { try await second.run() } throws: { ($0 as? CacheError)?.code == .conflict }
            // The first is not disturbed by that.
            try await server.blocking { try NBDClient(server.path).begin() }
            try server.directory.write("file", [1])
            let third = NBDServer(device: sample.device, name: "b", path: server.directory("file"), logger: .quiet)
            await #expect { try await third.run() } throws: { ($0 as? CacheError)?.code == .conflict }
            #expect(try server.directory.bytes("file") == [1])
            let long = NBDServer(
                device: sample.device, name: "b", path: "/" + String(repeating: "x", count: 108), logger: .quiet)
            await #expect { try await long.run() } throws: { ($0 as? CacheError)?.code == .invalidInput }
            // What a killed server leaves: a name without a listener.
            let dead = try BoundSocket.bind(server.directory("dead"))
            dead.descriptor.close()
            let replaced = try BoundSocket.bind(server.directory("dead"))
            defer { replaced.descriptor.close() }
            // A server whose name was taken away leaves that of its successor alone.
            try FileManager.default.removeItem(atPath: server.directory("dead"))
            let successor = try BoundSocket.bind(server.directory("dead"))
            defer { successor.descriptor.close() }
            replaced.remove()
            #expect(server.directory.names().contains("dead"))
            successor.remove()
            #expect(!server.directory.names().contains("dead"))
        }
    }
}
