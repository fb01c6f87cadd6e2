import CacheCore
import NIOConcurrencyHelpers
import NIOCore
import NIOPosix
import TestSupport
import Testing

@testable import CacheClient

/// Chunks that are checked by the thread that hashes a layer, and opened by another.
@Suite(.timeLimit(.minutes(10))) struct OpeningLineTests {
    /// With all other threads at a stand, the one that hashes checks what waits: a damaged chunk fails at once, and a
    /// right one is opened as soon as a thread is free. The digest is that of the layer's bytes alone.
    @Test func theHashChecksWhatWaits() async throws {
        let fixture = try ClientFixture()
        let content = fixture.bytes(300_000)
        try await fixture.push(content)
        try await fixture.withCache { cache in
            let layer = try await fixture.image(cache).layers[0]
            let reader = layer.reader
            let ref = layer.manifest.data[0]
            let sealed = try await reader.l3.chunk(ref.id, in: layer.manifest.generation)
            var damaged = sealed
            damaged.setInteger(~(sealed.getInteger(at: sealed.readerIndex) ?? UInt8(0)), at: sealed.readerIndex)
            let isStopped = ConditionLock(value: true)
            for _ in 0..<reader.pool.numberOfThreads {
                reader.pool.submit { _ in
                    isStopped.lock(whenValue: false)
                    isStopped.unlock()
                }
            }
            let line = OpeningLine(reader)
            let hasFailed = NIOLockedValueBox(false)
            let bad = Task { [damaged] in
                defer { hasFailed.withLockedValue { $0 = true } }
                return try await line.open(ref, damaged)
            }
            let hash = OpeningHash(line)
            let piece = [UInt8](repeating: 7, count: 64 << 10)
            var count = 0
            func update() {
                piece.withUnsafeBytes { hash.update($0) }
                count += 1
            }
            while !hasFailed.withLockedValue({ $0 }) {
                update()
                await Task.yield()
            }
            let good = Task { try await line.open(ref, sealed) }
            for _ in 0..<100 {
                update()
                await Task.yield()
            }
            isStopped.lock()
            isStopped.unlock(withValue: false)
            #expect(try await good.value == ByteBuffer(bytes: content))
            await #expect { _ = try await bad.value } throws: { ($0 as? CacheError)?.code == .corrupt }
            let all = [UInt8](repeating: 7, count: count * piece.count)
            #expect(hash.finish() == all.withUnsafeBytes { SHA256Digest(hashing: $0) })
        }
    }

    /// Many at once, with and without a thread that hashes: each gets its own bytes.
    @Test(arguments: [true, false]) func manyGetTheirOwn(_ isHashed: Bool) async throws {
        let fixture = try ClientFixture()
        let content = fixture.bytes(20 * ChunkLimits.plainBytes)
        try await fixture.push(content)
        try await fixture.withCache { cache in
            let layer = try await fixture.image(cache).layers[0]
            let line = OpeningLine(layer.reader)
            let isDone = NIOLockedValueBox(false)
            try await withThrowingTaskGroup(of: Bool.self) { group in
                for (slot, ref) in layer.manifest.data.enumerated() {
                    group.addTask {
                        let sealed = try await layer.reader.l3.chunk(ref.id, in: layer.manifest.generation)
                        let plain = try await line.open(ref, sealed)
                        let own = content[(slot * ChunkLimits.plainBytes)...].prefix(ChunkLimits.plainBytes)
                        let isRight = plain == ByteBuffer(bytes: own)
                        layer.recycle(plain)
                        return isRight
                    }
                }
                let thread = NIOThreadPool(numberOfThreads: 1)
                thread.start()
                let hashing = Task {
                    try await thread.runIfActive {
                        let hash = OpeningHash(line)
                        let piece = [UInt8](repeating: 7, count: 64 << 10)
                        while isHashed, !isDone.withLockedValue({ $0 }) {
                            piece.withUnsafeBytes { hash.update($0) }
                        }
                    }
                }
                for try await isRight in group { #expect(isRight) }
                isDone.withLockedValue { $0 = true }
                try await hashing.value
                try await thread.shutdownGracefully()
            }
        }
    }
}
