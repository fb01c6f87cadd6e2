import CacheCore
import Glibc
import NIOCore
import TestSupport
import Testing

@testable import store_exerciser

@Suite struct ChunkStoreTests {
    private let chunks = SampleChunks()

    @Test func whatIsPutIsReadAndTheRestIsMissing() async throws {
        let directory = try TemporaryDirectory()
        let store = try openStore(directory)
        let bytes = chunks.bytes(1)
        let id = SampleChunks.id(bytes)
        #expect(try store.read(id) == nil)
        #expect(try !store.contains(id))
        #expect(try await store.put(id, bytes) == .created)
        #expect(try await store.put(id, bytes) == .alreadyPresent)
        #expect(try store.read(id) == bytes)
        #expect(try store.contains(id))
        let other = SampleChunks.id(chunks.bytes(2))
        #expect(try store.missing([id, other]) == [false, true])
        let statistics = store.statistics
        #expect(statistics.chunks == 1)
        #expect(statistics.puts == 1)
        #expect(statistics.hits == 1)
        #expect(statistics.misses == 1)
        #expect(statistics.sealedBytes == UInt64(bytes.readableBytes))
        await store.close()
        #expect(throws: CacheError.self) { try store.read(id) }
    }

    @Test func everyLengthAroundTheBordersComesBack() async throws {
        let directory = try TemporaryDirectory()
        let store = try openStore(directory)
        let extent = StoreLayout.standard.extentBytes
        let inline = StoreLayout.inlineTailBytes
        var lengths = [1, 2, 7, inline - 1, inline, inline + 1, 4095, 4096, 65_520, 65_536, ChunkLimits.sealedBytes]
        for count in [1, 2, 8] {
            for difference in [-1, 0, 1, inline - 1, inline, inline + 1] { lengths.append(count * extent + difference) }
        }
        for (number, length) in lengths.enumerated() {
            let bytes = chunks.bytes(UInt64(number), length: length)
            let id = SampleChunks.id(bytes)
            #expect(try await store.put(id, bytes) == .created, "length \(length)")
            #expect(try store.read(id) == bytes, "length \(length)")
            var memory = ByteBuffer(repeating: 0xAA, count: ChunkLimits.sealedBytes)
            let count = try memory.withUnsafeMutableReadableBytes {
                try store.readUnverified(id, touch: false, into: $0)
            }
            #expect(count == length)
            #expect(memory.getSlice(at: 0, length: length) == bytes)
            // Nothing is written behind it.
            #expect(memory.readableBytesView[length...].allSatisfy { $0 == 0xAA })
        }
        for length in [0, ChunkLimits.sealedBytes + 1] {
            let bytes = ByteBuffer(repeating: 1, count: length)
            await #expect(throws: CacheError.self) { try await store.put(SampleChunks.id(bytes), bytes) }
        }
        await store.close()
    }

    @Test func itsContentSurvivesARestart() async throws {
        let directory = try TemporaryDirectory()
        for round in 0..<3 {
            let store = try openStore(directory)
            for number in 0..<UInt64(20) {
                let bytes = chunks.bytes(number)
                let outcome = try await store.put(SampleChunks.id(bytes), bytes)
                #expect(outcome == (round == 0 ? .created : .alreadyPresent))
                #expect(try store.read(SampleChunks.id(bytes)) == bytes)
            }
            #expect(store.statistics.faults.resets == 0)
            await store.close()
        }
    }

    @Test func theCapacityIsNeverExceeded() async throws {
        for capacity in [4 << 20, 24 << 20] as [UInt64] {
            let directory = try TemporaryDirectory()
            let store = try openStore(directory, capacity: capacity)
            var written = UInt64(0)
            var number = UInt64(0)
            while written < 10 * capacity {
                let bytes = chunks.bytes(number)
                let id = SampleChunks.id(bytes)
                #expect(try await store.put(id, bytes) == .created)
                #expect(try store.read(id) == bytes)
                #expect(directory.bytes <= capacity)
                written += UInt64(bytes.readableBytes)
                number += 1
            }
            let statistics = store.statistics
            #expect(statistics.evictions > 0)
            #expect(statistics.writesRefused == 0)
            #expect(statistics.bytesUsed <= capacity)
            await store.close()
        }
    }

    @Test func aRandomHistoryAgreesWithADictionary() async throws {
        let seed = UInt64.random(in: 0...UInt64.max)
        var generator = SeededGenerator(seed: seed)
        let directory = try TemporaryDirectory()
        var store = try openStore(directory, capacity: 12 << 20)
        var known: [ChunkID: ByteBuffer] = [:]
        for step in 0..<1_500 {
            let bytes = chunks.bytes(UInt64.random(in: 0..<120, using: &generator))
            let id = SampleChunks.id(bytes)
            switch Int.random(in: 0..<100, using: &generator) {
            case 0..<40:
                let outcome = try await store.put(id, bytes)
                if known[id] == nil { #expect(outcome == .created, "seed \(seed) step \(step)") }
                known[id] = bytes
            case 40..<45:
                store.reportCorrupt(id)
                try await store.flush()
                known[id] = nil
            case 45..<46:
                await store.close()
                store = try openStore(directory, capacity: 12 << 20)
                #expect(store.statistics.faults.resets == 0, "seed \(seed) step \(step)")
            default:
                let found = try store.read(id)
                if let found { #expect(found == known[id], "seed \(seed) step \(step)") }
            }
        }
        await store.close()
    }

    @Test func aDamagedChunkIsDroppedAndCounted() async throws {
        let directory = try TemporaryDirectory()
        let bytes = chunks.bytes(3, length: 300_000)
        let id = SampleChunks.id(bytes)
        var store = try openStore(directory)
        _ = try await store.put(id, bytes)
        await store.close()
        try flip(directory, near: bytes)
        store = try openStore(directory)
        #expect(store.statistics.faults.resets == 0)
        let error = #expect(throws: CacheError.self) { try store.read(id) }
        #expect(error?.code == .corrupt)
        // It is told once, and gone for all others, even before it is.
        for _ in 0..<20 {
            #expect(try store.read(id) == nil)
            store.reportCorrupt(id)
        }
        try await store.flush()
        #expect(try store.read(id) == nil)
        #expect(store.statistics.faults.corruptDropped >= 1)
        #expect(try await store.put(id, bytes) == .created)
        #expect(try store.read(id) == bytes)
        await store.close()
    }

    /// Flips a bit in the middle of the extent that starts with the first bytes of `sealed`.
    private func flip(_ directory: TemporaryDirectory, near sealed: ByteBuffer) throws {
        let descriptor = open("\(directory.path)/data.mdb", O_RDWR)
        defer { close(descriptor) }
        var page = [UInt8](repeating: 0, count: 4096)
        var offset = off_t(0)
        let start = Array(sealed.readableBytesView.prefix(64))
        while pread(descriptor, &page, 4096, offset) == 4096 {
            if Array(page[16..<80]) == start {
                page[2000] ^= 4
                #expect(pwrite(descriptor, page, 4096, offset) == 4096)
                return
            }
            offset += 4096
        }
        Issue.record("the chunk was not found in the file")
    }

    @Test func aFullQueueRefusesAndCounts() async throws {
        let directory = try TemporaryDirectory()
        let store = try ChunkStore.open(
            directory.path, options: .init(capacity: 64 << 20, writeQueueBytes: 1), logger: .quiet)
        var asked = UInt64(0)
        var refused = UInt64(0)
        // The queue holds one chunk. On a busy machine the writer may be done with several before this thread comes
        // with the next.
        while asked < 200 || (refused == 0 && asked < 20_000) {
            let bytes = chunks.bytes(asked, length: ChunkLimits.sealedBytes)
            if !store.tryPut(SampleChunks.id(bytes), bytes) { refused += 1 }
            asked += 1
        }
        try await store.flush()
        let statistics = store.statistics
        #expect(statistics.writesRefused == refused)
        #expect(statistics.puts + refused == asked)
        #expect(refused > 0)
        await store.close()
    }

    @Test func openingTwiceInOneProcessIsAClearError() async throws {
        let directory = try TemporaryDirectory()
        let store = try openStore(directory)
        let error = #expect(throws: CacheError.self) { try openStore(directory) }
        #expect(error?.code == .conflict)
        await store.close()
        await (try openStore(directory)).close()
    }

    @Test func aSmallerCapacityStartsEmptyAndALargerOneDoesNot() async throws {
        let directory = try TemporaryDirectory()
        var store = try openStore(directory, capacity: 32 << 20)
        for number in 0..<UInt64(100) {
            let bytes = chunks.bytes(number)
            _ = try await store.put(SampleChunks.id(bytes), bytes)
        }
        await store.close()
        store = try openStore(directory, capacity: 64 << 20)
        #expect(store.statistics.resets == 0)
        #expect(store.statistics.chunks > 50)
        await store.close()
        store = try openStore(directory, capacity: 8 << 20)
        #expect(store.statistics.resets == 1)
        #expect(store.statistics.chunks == 0)
        #expect(directory.bytes < 8 << 20)
        await store.close()
        #expect(throws: CacheError.self) { try openStore(directory, capacity: 1 << 20) }
    }
}

@Suite struct ExtentHeaderTests {
    /// `mdb_del` frees the pages that an extent's header names; the check at open does not read these headers.
    @Test func damagedHeadersOfExtentsAreSetRightBeforeTheyAreFreed() async throws {
        let directory = try TemporaryDirectory()
        let chunks = SampleChunks()
        var store = try openStore(directory, capacity: 12 << 20)
        let many = (0..<UInt64(20)).map { chunks.bytes($0) }
        for bytes in many { _ = try await store.put(SampleChunks.id(bytes), bytes) }
        await store.close()
        let descriptor = open("\(directory.path)/data.mdb", O_RDWR)
        defer { close(descriptor) }
        var header = [UInt8](repeating: 0, count: 16)
        var generator = SeededGenerator(seed: 3)
        var damaged = 0
        for page in 2..<off_t(3_000) where pread(descriptor, &header, 16, page * 4096) == 16 {
            guard header[10] == 4, header[11] == 0, header[12] == UInt8(StoreLayout.standard.extentPages) else {
                continue
            }
            for byte in 0..<16 { header[byte] = UInt8.random(in: 0...255, using: &generator) }
            #expect(pwrite(descriptor, header, 16, page * 4096) == 16)
            damaged += 1
        }
        #expect(damaged > 20)
        store = try openStore(directory, capacity: 12 << 20)
        #expect(store.statistics.faults.resets == 0)
        for bytes in many { #expect(try store.read(SampleChunks.id(bytes)) == bytes) }
        for number in 100..<UInt64(200) {
            let bytes = chunks.bytes(number)
            let id = SampleChunks.id(bytes)
            #expect(try await store.put(id, bytes) == .created)
            #expect(try store.read(id) == bytes)
        }
        await store.close()
        store = try openStore(directory, capacity: 12 << 20)
        #expect(store.statistics.resets == 0)
        #expect(store.statistics.chunks > 20)
        await store.close()
    }
}
