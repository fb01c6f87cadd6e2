import TestSupport
import Testing

@testable import CacheClient

@Suite struct SequentialStreamsTests {
    private let chunk: UInt64 = 1 << 19

    private func streams(window: Int = 32) -> SequentialStreams {
        SequentialStreams(end: 1 << 40, chunkBytes: 1 << 19, maximumWindow: window)
    }

    @Test func windowDoublesWithEachChunk() {
        var streams = streams(window: 8)
        var ahead: [(at: UInt64, chunks: UInt64)] = []
        for offset in stride(from: UInt64(0), to: 8 * chunk, by: 128 << 10) {
            if let found = streams.read(at: offset, count: 128 << 10) {
                #expect(found.range.lowerBound % chunk == 0)
                ahead.append((offset / chunk, (found.range.upperBound - found.range.lowerBound) / chunk))
            }
        }
        // One at the second read, then as many as keep 2, 4, 8 chunks ahead of the reader.
        #expect(ahead.map(\.at) == [0, 0, 1, 2, 3, 4, 5, 6, 7])
        #expect(ahead.map(\.chunks) == [1, 2, 3, 5, 1, 1, 1, 1, 1])
        #expect(ahead.reduce(0) { $0 + $1.chunks } == 16)
    }

    @Test("a stream goes beyond ends of contents only as far as its reader has done so")
    func endsOfContents() {
        var streams = streams(window: 8)
        var crossings: [Int] = []
        // Contents end in each third place: three of them are passed, which allows for twice as many.
        for offset in stride(from: UInt64(0), to: 9 * chunk, by: 256 << 10) {
            let found = streams.read(at: offset, count: 256 << 10) { $0 % 3 == 2 }
            if let found { crossings.append(found.crossings) }
        }
        #expect(crossings == crossings.sorted() && crossings.first == 0 && crossings.last == 6)
    }

    @Test("who has read 8 MiB in order leaves its chunks behind, but for the last one")
    func leavesBehind() {
        var streams = streams()
        var left: [UInt64] = []
        var offset = 5 * chunk
        while offset < 40 * chunk {
            _ = streams.read(at: offset, count: 384 << 10)
            offset += 384 << 10
            let found = streams.leftBehind(at: offset - 1)
            #expect((found == nil) == (offset - 5 * chunk < SequentialStreams.longBytes))
            left += found ?? 0..<0
        }
        #expect(left == Array(5..<39))
        // Another one at the same time is not long yet.
        _ = streams.read(at: 1 << 35, count: 128 << 10)
        _ = streams.read(at: 1 << 35 | 128 << 10, count: 128 << 10)
        #expect(streams.leftBehind(at: 1 << 35 | 256 << 10) == nil)
    }

    @Test func nothingForRandomReads() {
        var streams = streams()
        var random = SeededGenerator(seed: 7)
        for _ in 0..<20_000 {
            let offset = UInt64.random(in: 0..<1 << 30, using: &random) & ~4095
            let ahead = streams.read(at: offset, count: 4096)
            #expect(ahead == nil)
        }
        // Not even where all of it is within a few MiB.
        for _ in 0..<100 {
            let offset = UInt64.random(in: 0..<8 << 20, using: &random) & ~4095
            let ahead = streams.read(at: offset, count: 4096)
            #expect(ahead == nil)
        }
    }

    @Test func nothingForTheSameAgain() {
        var streams = streams()
        for _ in 0..<1000 {
            let ahead = streams.read(at: 0, count: 128 << 10)
            #expect(ahead == nil)
        }
    }

    /// A read is looked for on the disk first, then asked of other tiers: two notes of one read are no denser stream.
    @Test func aReadThatIsNotedTwiceCountsOnce() {
        var streams = streams()
        for offset in stride(from: UInt64(0), to: 64 << 20, by: 256 << 10) {
            for _ in 0..<2 {
                let ahead = streams.read(at: offset, count: 64 << 10)
                #expect(ahead == nil)
            }
        }
    }

    @Test func severalAtOnceAndOutOfOrder() {
        var streams = streams()
        var fetched: [Set<UInt64>] = Array(repeating: [], count: 4)
        for step in stride(from: UInt64(0), to: 16, by: 2) {
            for file in 0..<4 {
                // Two threads have each other's turn.
                for part in [step + 1, step] {
                    let offset = UInt64(file) << 32 + part * (256 << 10)
                    guard let ahead = streams.read(at: offset, count: 256 << 10) else { continue }
                    #expect(ahead.range.lowerBound >> 32 == file)
                    fetched[file].formUnion(
                        stride(from: ahead.range.lowerBound, to: ahead.range.upperBound, by: 1 << 19))
                }
            }
        }
        for file in fetched { #expect(file.count > 8) }
    }

    @Test func whatWasNotBegunIsAskedForAgain() throws {
        var streams = streams()
        _ = streams.read(at: 0, count: 256 << 10)
        let second = streams.read(at: 256 << 10, count: 256 << 10)
        let ahead = try #require(second)
        streams.stopped(ahead, at: ahead.range.lowerBound)
        let third = streams.read(at: 512 << 10, count: 4096)
        let again = try #require(third)
        #expect(again.range.lowerBound <= chunk * 2)
        #expect(again.range.contains(chunk * 2 - 1) || again.range.lowerBound == chunk * 2)
    }

    @Test func endsWithTheDevice() {
        var streams = SequentialStreams(end: 3 << 19, chunkBytes: 1 << 19, maximumWindow: 32)
        for offset in stride(from: UInt64(0), to: 3 << 19, by: 1 << 17) {
            let ahead = streams.read(at: offset, count: 1 << 17)
            #expect(ahead?.range.upperBound ?? 0 <= 3 << 19)
        }
    }

    @Test func offWithoutAWindow() {
        var streams = streams(window: 0)
        for offset in stride(from: UInt64(0), to: 4 << 20, by: 1 << 17) {
            let ahead = streams.read(at: offset, count: 1 << 17)
            #expect(ahead == nil)
        }
    }
}
