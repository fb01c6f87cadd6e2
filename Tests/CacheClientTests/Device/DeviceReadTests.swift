import CacheCore
import Foundation
import NIOCore
import TestSupport
import Testing

@testable import CacheClient

/// Reads of a device, compared with the bytes that it must have.
@Suite(.timeLimit(.minutes(10))) struct DeviceReadTests {
    private let fixture: ClientFixture

    init() throws { fixture = try ClientFixture() }

    /// Whatever the memory holds, and whichever way is taken.
    @Test(arguments: [0, 2 << 20, 64 << 20]) func anyRange(memory: Int) async throws {
        try await fixture.pushForDevice()
        var random = SeededGenerator(seed: fixture.random)
        try await fixture.withCache(l1: fixture("l1"), memory: memory) { cache in
            let assembled = try await fixture.assembled(cache)
            await cache.flush()
            let device = try cache.device(of: assembled.image, layout: assembled.layout, .quiet)
            let bytes = assembled.bytes
            #expect(device.byteCount == bytes.count)
            for _ in 0..<150 {
                let start = Int.random(in: 0..<bytes.count, using: &random)
                let count =
                    Int.random(in: 0...bytes.count - start, using: &random) / Int.random(in: 1...200, using: &random)
                let expected = bytes[start..<start + count]
                let what: Comment = "\(count) bytes at \(start), seed \(fixture.random)"
                let atOnce = try device.cached(at: UInt64(start), count: count, reach: .disk)
                #expect(atOnce == nil || atOnce?.bytes == Array(expected), what)
                let read = try await device.read(at: UInt64(start), count: count)
                #expect(read.reduce(0) { $0 + $1.readableBytes } == count, what)
                #expect(read.bytes == Array(expected), what)
                let memory = try device.cached(at: UInt64(start), count: count, reach: .memory)
                #expect(memory == nil || memory?.bytes == Array(expected), what)
            }
            let room = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes.count, alignment: 1)
            defer { room.deallocate() }
            try await device.read(at: 0, into: room)
            #expect(room.elementsEqual(bytes))
            await device.close()
        }
    }

    @Test func extentsAreZerosWhereNothingIsStored() async throws {
        try await fixture.pushForDevice()
        try await fixture.withCache { cache in
            let assembled = try await fixture.assembled(cache)
            let device = try cache.device(of: assembled.image, layout: assembled.layout, .quiet)
            fixture.store.set(.failing)
            var position = 0
            var zeros = 0
            while position < assembled.bytes.count {
                let extent = device.extent(at: UInt64(position))
                let count = Int(extent.count)
                try #require(count > 0 && position + count <= assembled.bytes.count)
                if extent.isZero {
                    #expect(assembled.bytes[position..<position + count].allSatisfy { $0 == 0 }, "at \(position)")
                    #expect(try device.cached(at: UInt64(position), count: count, reach: .memory)?.bytes.count == count)
                    zeros += count
                }
                position += count
            }
            // The file of zeros, the gap behind the metadata, and the end.
            #expect(zeros > 4_000_000)
            fixture.store.set(.none)
        }
    }

    @Test func rangesThatLeaveTheDeviceAreRefused() async throws {
        try await fixture.push(fixture.bytes(10_000))
        try await fixture.withCache { cache in
            let device = try await fixture.device(cache)
            #expect(device.byteCount == 12_288)
            let whole = try await device.bytes(0, 12_288)
            #expect(whole == fixture.bytes(10_000) + [UInt8](repeating: 0, count: 2288))
            let found = try await device.bytes(12_288, 0)
            #expect(found == [])
            for (offset, count) in [
                (UInt64(0), 12_289), (12_288, 1), (.max, 1), (.max, 0), (0, -1), (5, .max), (0, .min),
            ] {
                for error in [
                    await cacheError { _ = try await device.read(at: offset, count: count) },
                    await cacheError { _ = try device.cached(at: offset, count: count, reach: .memory) },
                ] { #expect(error?.code == .invalidInput, "\(count) at \(offset)") }
            }
            #expect(device.statistics.asked == .init(reads: 2, bytes: 12_288))
        }
    }

    /// From memory no byte is copied, and no chunk is opened twice on the way.
    @Test func memoryIsSlicedAndL1IsOpenedOnce() async throws {
        let content = fixture.bytes(4 << 19)
        try await fixture.push(content)
        try await fixture.withCache(l1: fixture("l1")) { try await fixture.expect(content, from: $0) }
        try await fixture.withCache(l1: fixture("l1")) { cache in
            let device = try await fixture.device(cache)
            #expect(try device.cached(at: 0, count: 4096, reach: .memory) == nil)
            let first = try #require(try device.cached(at: 4096, count: 4096, reach: .disk))
            #expect(first.bytes == Array(content[4096..<8192]))
            #expect(device.statistics.tiers.l1.chunks == 1)
            for reach in [DeviceReach.memory, .disk] {
                let again = try #require(try device.cached(at: 4096, count: 4096, reach: reach)?.first)
                again.withUnsafeReadableBytes { new in
                    first[0].withUnsafeReadableBytes { #expect($0.baseAddress == new.baseAddress) }
                }
            }
            // Many threads, one chunk.
            await withTaskGroup(of: [UInt8]?.self) { group in
                for index in 0..<16 {
                    group.addTask {
                        let offset = 1 << 19 | index << 12
                        return await Self.onThread {
                            try? device.cached(at: UInt64(offset), count: 4096, reach: .disk)?.bytes
                        }
                    }
                }
                for await bytes in group { #expect(bytes?.count == 4096) }
            }
            #expect(device.statistics.tiers.l1.chunks == 2)
            #expect(device.statistics.tiers.l3.chunks == 0)
        }
    }

    private static func onThread(_ body: @escaping @Sendable () -> [UInt8]?) async -> [UInt8]? {
        await withCheckedContinuation { continuation in
            Thread.detachNewThread { continuation.resume(returning: body()) }
        }
    }

    /// The pieces in which a filesystem reads a chunk are one read of it: what is read again and again stays.
    @Test func aScanInPiecesFlushesNothing() async throws {
        let content = fixture.bytes(24 << 19)
        try await fixture.push(content)
        try await fixture.withCache(memory: 6 << 19) {
            // No window, so that nothing is read ahead.
            $0.readAhead = 1
        } _: { cache in
            let device = try await fixture.device(cache)
            // Others between, so that each is a read of its own.
            for chunk in [0, 16, 0, 16, 0, 1, 17, 1, 17, 1] { _ = try await device.bytes(chunk << 19, 4096) }
            for chunk in 2..<16 {
                for piece in 0..<4 { _ = try await device.bytes(chunk << 19 | piece << 17, 128 << 10) }
            }
            for chunk in [0, 1] {
                let bytes = try device.cached(at: UInt64(chunk << 19), count: 4096, reach: .memory)?.bytes
                #expect(bytes?.elementsEqual(content[chunk << 19..<chunk << 19 | 4096]) == true, "chunk \(chunk)")
            }
        }
    }

    /// A file that is read from its beginning to its end leaves memory as it was, wherever its bytes come from.
    @Test(arguments: [true, false]) func aLongStreamPassesMemoryBy(isInL1: Bool) async throws {
        let bytes = fixture.bytes(24 << 20)
        try await fixture.push(bytes)
        try await fixture.withCache(l1: fixture("l1"), memory: 64 << 20) { cache in
            if isInL1 {
                let first = try await fixture.device(cache)
                try await first.expect(bytes, at: 0)
                await first.close()
                await cache.flush()
            }
        }
        try await fixture.withCache(l1: fixture("l1"), memory: 64 << 20) { cache in
            let device = try await fixture.device(cache)
            try await device.expect(bytes, at: 0)
            try await eventually("what was on its way has come") {
                let before = device.statistics
                return before == device.statistics
            }
            // The first 8 MiB, and the chunks that they end in.
            #expect(cache.memoryUsage.bytes <= 10 << 20)
            // The second time, too; and each byte once more in any order.
            try await device.expect(bytes, at: 4096)
            var random = SeededGenerator(seed: fixture.random)
            for offset in (0..<48).map({ $0 << 19 }).shuffled(using: &random) {
                let found = try await device.bytes(offset, 1 << 19)
                #expect(found == Array(bytes[offset..<offset + 1 << 19]), "at \(offset), seed \(fixture.random)")
            }
            await device.close()
        }
    }

    @Test func manyAtOnceWithinTheBound() async throws {
        let content = fixture.bytes(12 << 20)
        try await fixture.push(content)
        try await fixture.withCache(memory: 1 << 20) { cache in
            let device = try await fixture.device(cache)
            let seed = fixture.random
            try await withThrowingTaskGroup(of: Void.self) { group in
                for task in UInt64(0)..<64 {
                    group.addTask {
                        var random = SeededGenerator(seed: seed &+ task)
                        for _ in 0..<20 {
                            let start = Int.random(in: 0..<content.count - 300_000, using: &random)
                            let bytes = try await device.bytes(start, 300_000)
                            #expect(bytes == Array(content[start..<start + 300_000]), "at \(start), seed \(seed)")
                        }
                    }
                }
                try await group.waitForAll()
            }
            #expect(cache.memoryUsage.bytes <= 1 << 20)
            #expect(cache.devices.landed.count <= 48)
        }
    }
}

extension ImageDevice {
    /// Reads in order from `start` on, as a filesystem does: what is at hand on the spot, else in time.
    fileprivate func expect(_ bytes: [UInt8], at start: Int) async throws {
        var offset = start
        while offset < bytes.count {
            let count = min(256 << 10, bytes.count - offset)
            let place = UInt64(offset)
            let found =
                if let atOnce = try cached(at: place, count: count, reach: .disk) { atOnce.bytes } else {
                    try await read(at: place, count: count).bytes
                }
            try #require(found == Array(bytes[offset..<offset + count]), "at \(offset)")
            offset += count
        }
    }
}
