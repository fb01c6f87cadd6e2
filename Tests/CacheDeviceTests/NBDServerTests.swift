import CacheCore
import CacheDevice
import Foundation
import NIOConcurrencyHelpers
import NIOCore
import TestSupport
import Testing

/// What each client gets, request by request.
@Suite struct NBDServerTests {
    private static let holes: [Range<UInt64>] = [4096..<8192, 10_000..<10_100, 1_000_000..<2_500_000]

    @Test(
        "random reads give the file's bytes, whatever was negotiated", arguments: [false, true], [false, true])
    func randomReads(structured: Bool, isInMemory: Bool) async throws {
        let sample = try SampleFile(8 << 20, holes: Self.holes)
        var device = sample.device
        device.isInMemory = isInMemory
        try await NBDTestServer.run(device) { server in
            try await server.blocking {
                let client = try NBDClient(server.path)
                try client.begin(structured: structured)
                #expect(client.byteCount == 8 << 20)
                var generator = SeededGenerator()
                for _ in 0..<300 {
                    let most = [1, 512, 4096, 70000, 3 << 20].randomElement(using: &generator) ?? 1
                    let count = Int.random(in: 1...most, using: &generator)
                    let offset = Int.random(in: 0...(8 << 20) - count, using: &generator)
                    let flags: UInt16 = structured && Bool.random(using: &generator) ? 4 : 0
                    let answer = try client.read(at: UInt64(offset), count: count, flags: flags)
                    #expect(
                        answer.bytes == Array(sample.bytes[offset..<offset + count]),
                        "\(count) bytes at \(offset), seeds \(generator.seed) and \(sample.seed)")
                    // "Don't fragment": one chunk with all of it.
                    if flags == 4 { #expect(answer.chunks.count == 1) }
                }
            }
        }
    }

    @Test("a hole costs no read, and arrives as a hole")
    func holes() async throws {
        let sample = try SampleFile(4 << 20, holes: Self.holes)
        var device = sample.device
        let read = NIOLockedValueBox(0)
        device.beforeRead = { _, count in read.withLockedValue { $0 += count } }
        try await NBDTestServer.run(device) { server in
            try await server.blocking {
                let client = try NBDClient(server.path)
                try client.begin(allocation: true)
                let answer = try client.read(at: 0, count: 4 << 20)
                #expect(answer.bytes == sample.bytes)
                #expect(answer.chunks.count { $0.chunk == 2 } == 2)
                // The run of 100 zeros is not worth a chunk of its own.
                #expect(read.withLockedValue { $0 } == (4 << 20) - 4096 - 1_500_000)
                // BLOCK_STATUS: all, and the first alone.
                try client.sendRequest(7, cookie: 1, offset: 0, length: 1_100_000)
                let all = try client.reply()
                #expect(all.chunk == 5 && all.isLast)
                #expect(Self.extents(all) == [4096, 0, 4096, 3, 1808, 0, 100, 3, 989_900, 0, 100_000, 3])
                try client.sendRequest(7, flags: 8, cookie: 1, offset: 5000, length: 1_100_000)
                #expect(Self.extents(try client.reply()) == [3192, 3])
            }
        }
    }

    private static func extents(_ reply: NBDClient.Reply) -> [UInt32] {
        var data = reply.data
        var numbers: [UInt32] = []
        while let number = data.readInteger(as: UInt32.self) { numbers.append(number) }
        // The first is the context's own.
        return Array(numbers.dropFirst())
    }

    @Test("what would change the device is refused, what is out of it is wrong, and the connection goes on")
    func refusals() async throws {
        let sample = try SampleFile(64 << 10)
        try await NBDTestServer.run(sample.device) { server in
            try await server.blocking {
                let client = try NBDClient(server.path)
                try client.begin()
                func error(_ command: UInt16, _ offset: UInt64, _ length: Int, flags: UInt16 = 0) throws -> UInt32 {
                    try client.sendRequest(command, flags: flags, cookie: 99, offset: offset, length: length)
                    if command == 1 { try client.send(ByteBuffer(repeating: 0x25, count: length)) }
                    let reply = try client.reply()
                    #expect(reply.cookie == 99 && reply.isLast)
                    return reply.error
                }
                let end = UInt64(64 << 10)
                #expect(try error(1, 0, 100_000) == 1, "WRITE")
                #expect(try error(1, 0, 0) == 1, "WRITE of nothing")
                #expect(try error(4, 0, 4096) == 1, "TRIM")
                #expect(try error(6, 0, 4096) == 1, "WRITE_ZEROES")
                #expect(try error(3, 0, 0) == 0, "FLUSH")
                #expect(try error(5, 0, 65536) == 0, "CACHE")
                #expect(try error(5, 1, 65536) == 22, "CACHE beyond the end")
                #expect(try error(0, end, 1) == 22, "READ beyond the end")
                #expect(try error(0, .max, 1) == 22, "READ whose end overflows")
                #expect(try error(0, 0, (32 << 20) + 1) == 22, "READ of too much")
                #expect(try error(0, 0, 4096, flags: 1 << 9) == 22, "READ with an unknown flag")
                #expect(try error(0, 0, 0) == 0, "READ of nothing")
                #expect(try error(7, 0, 4096) == 22, "BLOCK_STATUS that was not negotiated")
                #expect(try error(300, 0, 0) == 22, "an unknown command")
                #expect(try client.read(at: 10, count: 100).bytes == Array(sample.bytes[10..<110]))
                // DISC: the server closes.
                try client.sendRequest(2, cookie: 0)
                #expect(try client.isClosed())
                // A WRITE that is larger than any may be cannot be skipped.
                let second = try NBDClient(server.path)
                try second.begin()
                try second.sendRequest(1, cookie: 1, length: (32 << 20) + 1)
                #expect(try second.isClosed())
            }
        }
    }

    @Test("a read that fails is EIO for its request alone; the next one succeeds", arguments: [false, true])
    func failingDevice(structured: Bool) async throws {
        let sample = try SampleFile(8 << 20)
        var device = sample.device
        let failing = NIOLockedValueBox(true)
        device.beforeRead = { offset, count in
            // Only the second MiB is away.
            guard failing.withLockedValue({ $0 }), offset < 2 << 20, offset + UInt64(count) > 1 << 20 else { return }
            throw CacheError(.timedOut, "no tier has it")
        }
        try await NBDTestServer.run(device) { server in
            try await server.blocking {
                let client = try NBDClient(server.path)
                try client.begin(structured: structured)
                let failed = try client.read(at: 0, count: 4 << 20)
                #expect(failed.chunks.contains { $0.error == 5 })
                if structured {
                    // Where: in the chunk of the error, after its number and its empty text.
                    let chunk = try #require(failed.chunks.first { $0.error == 5 })
                    #expect(chunk.chunk == 32770)
                    #expect(chunk.data.getInteger(at: chunk.data.readerIndex + 6, as: UInt64.self) == 1 << 20)
                }
                try client.sendRequest(5, cookie: 3, offset: 0, length: 4 << 20)
                #expect(try client.reply().error == 5)
                #expect(
                    try client.read(at: 2 << 20, count: 4096).bytes == Array(sample.bytes[2 << 20..<(2 << 20) + 4096]))
                failing.withLockedValue { $0 = false }
                #expect(try client.read(at: 0, count: 4 << 20).bytes == Array(sample.bytes[..<(4 << 20)]))
            }
        }
    }

    @Test("requests are answered as their bytes come, not in their order")
    func outOfOrder() async throws {
        let sample = try SampleFile(1 << 20)
        var device = sample.device
        let (gate, opener) = AsyncStream.makeStream(of: Void.self)
        device.beforeRead = { offset, _ in
            if offset == 0 { for await _ in gate { return } }
        }
        try await NBDTestServer.run(device) { server in
            try await server.blocking {
                let client = try NBDClient(server.path)
                try client.begin(structured: false)
                try client.sendRequest(0, cookie: 1, offset: 0, length: 4096)
                try client.sendRequest(0, cookie: 2, offset: 4096, length: 4096)
                let first = try client.reply(4096)
                #expect(first.cookie == 2)
                #expect(Array(first.data.readableBytesView) == Array(sample.bytes[4096..<8192]))
                opener.yield()
                let second = try client.reply(4096)
                #expect(second.cookie == 1)
                #expect(Array(second.data.readableBytesView) == Array(sample.bytes[..<4096]))
            }
        }
    }

    @Test("old clients choose by EXPORT_NAME")
    func exportName() async throws {
        let sample = try SampleFile(8192)
        try await NBDTestServer.run(sample.device) { server in
            try await server.blocking {
                for flags: UInt32 in [1, 3] {
                    let client = try NBDClient(server.path)
                    try client.greet(flags: flags)
                    try client.sendOption(1, ByteBuffer(string: "acme/app:1"))
                    #expect(try client.receive(as: UInt64.self) == 8192)
                    #expect(try client.receive(as: UInt16.self) & 3 == 3)
                    if flags == 1 { _ = try client.receive(124) }
                    #expect(try client.read(at: 1, count: 5).bytes == Array(sample.bytes[1..<6]))
                }
                let stranger = try NBDClient(server.path)
                try stranger.greet()
                try stranger.sendOption(1, ByteBuffer(string: "other"))
                #expect(try stranger.isClosed())
            }
        }
    }

    @Test("options: what is unknown, forbidden, malformed or in the wrong order gets its own answer")
    func options() async throws {
        let sample = try SampleFile(8192)
        try await NBDTestServer.run(sample.device) { server in
            try await server.blocking {
                let error: UInt32 = 1 << 31
                let client = try NBDClient(server.path)
                try client.greet()
                #expect(try client.ask(77) == [error | 1], "unknown")
                #expect(try client.ask(11) == [error | 1], "extended headers")
                #expect(try client.ask(5) == [error | 2], "STARTTLS")
                #expect(try client.ask(3) == [2, 1], "LIST")
                #expect(try client.ask(3, ByteBuffer(string: "x")) == [error | 3], "LIST with data")
                #expect(try client.ask(6) == [error | 3], "INFO without a name")
                #expect(
                    try client.ask(6, NBDClient.named("other") + [0, 0]) == [error | 6], "an export that is not there")
                #expect(try client.ask(6, NBDClient.named("") + [0, 3, 0, 1, 0, 3, 0, 9]) == [3, 3, 3, 1], "INFO")
                let query = NBDClient.named("") + [0, 0, 0, 1] + NBDClient.named("base:allocation")
                #expect(try client.ask(10, query) == [error | 3], "contexts before structured replies")
                #expect(try client.ask(8, ByteBuffer(string: "x")) == [error | 3])
                #expect(try client.ask(8) == [1])
                #expect(try client.ask(9, NBDClient.named("") + [0, 0, 0, 0]) == [4, 1], "LIST_META_CONTEXT of all")
                #expect(try client.ask(9, NBDClient.named("") + [0, 0, 0, 1] + NBDClient.named("base:")) == [4, 1])
                #expect(try client.ask(9, NBDClient.named("") + [0, 0, 0, 1] + NBDClient.named("qemu:")) == [1])
                #expect(try client.ask(10, NBDClient.named("") + [0xFF, 0xFF, 0xFF, 0xFF]) == [error | 3])
                #expect(try client.ask(10, query) == [4, 1])
                #expect(try client.ask(2) == [1], "ABORT")
                #expect(try client.isClosed())
            }
        }
    }
}

private func + (buffer: ByteBuffer, bytes: [UInt8]) -> ByteBuffer {
    var result = buffer
    result.writeBytes(bytes)
    return result
}

private func + (buffer: ByteBuffer, other: ByteBuffer) -> ByteBuffer {
    var result = buffer
    result.writeImmutableBuffer(other)
    return result
}
