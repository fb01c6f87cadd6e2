import CacheCore
import NIOCore
import TestSupport
import Testing

@testable import CacheStore
@testable import store_exerciser

/// What the store's policy makes of sequences of reads, and what the store makes of the policy.
@Suite struct EvictionTests {
    private func id(_ number: UInt64) -> ChunkID { withUnsafeBytes(of: number) { ChunkID(ofSealed: $0) } }

    private func replay(_ capacity: Int) -> EvictionReplay { EvictionReplay(capacity: capacity, chunks: capacity) }

    /// Reads chunks of equal size; how many were there.
    private func read(_ numbers: Range<UInt64>, _ replay: inout EvictionReplay) -> Int {
        numbers.reduce(0) { $0 + (replay.read(id($1), size: 1) ? 1 : 0) }
    }

    /// A day of skewed reads of a base set, a nightly wave of chunks that are read once, and the next morning.
    @Test func aNightlyScanDoesNotFlushTheBaseSet() {
        var replay = replay(1_000)
        var generator = SeededGenerator(seed: 11)
        for _ in 0..<20_000 { _ = replay.read(id(UInt64.random(in: 0..<600, using: &generator)), size: 1) }
        _ = read(100_000..<105_000, &replay)
        #expect(read(0..<600, &replay) >= 570)
    }

    @Test func aWorkingSetThatComesBackIsLearnt() {
        var replay = replay(1_000)
        _ = read(0..<3_000, &replay)
        // Too many for the small queue, few enough for the store: they must come to stay.
        for _ in 0..<6 { _ = read(10_000..<10_600, &replay) }
        #expect(read(10_000..<10_600, &replay) >= 590)
    }

    /// Under any policy that replaces the oldest this is 0: each chunk leaves just before it is asked for.
    @Test(arguments: [1_050, 1_300, 1_700, 2_000, 5_000] as [UInt64])
    func aCycleLargerThanTheCacheHitsWhatFits(length: UInt64) {
        var replay = replay(1_000)
        _ = read(0..<length, &replay)
        for round in 0..<8 { #expect(read(0..<length, &replay) >= 800, "round \(round)") }
    }

    /// What was read for long gives way to what is read now: a cycle that fits, and ones that do not.
    @Test(arguments: [(700, 600), (1_500, 700), (3_000, 700)] as [(UInt64, Int)])
    func aNewCycleTakesThePlaceOfAnOldOne(length: UInt64, hits: Int) {
        var replay = replay(1_000)
        for _ in 0..<10 { _ = read(0..<1_500, &replay) }
        for _ in 0..<12 { _ = read(10_000..<10_000 + length, &replay) }
        #expect(read(10_000..<10_000 + length, &replay) >= hits)
    }

    /// Sizes of all kinds: the bound holds, what is counted is there, and a hit is a chunk that was read before.
    @Test func randomReadsKeepTheBound() {
        var generator = SeededGenerator()
        for _ in 0..<20 {
            let capacity = Int.random(in: 1...5_000, using: &generator)
            let distinct = UInt64.random(in: 1...2_000, using: &generator)
            var replay = EvictionReplay(capacity: capacity, chunks: Int.random(in: 0...500, using: &generator))
            var seen: Set<UInt64> = []
            for _ in 0..<3_000 {
                let first = UInt64.random(in: 0..<distinct, using: &generator)
                let number = UInt64.random(in: 0...first, using: &generator)
                let size = Int(number * 31 % 97) + 1
                if replay.read(id(number), size: size) {
                    #expect(seen.contains(number) && size <= capacity, "seed \(generator.seed)")
                }
                seen.insert(number)
                #expect(replay.size <= capacity && replay.chunks <= replay.size, "seed \(generator.seed)")
            }
        }
    }

    /// While all fits, nothing leaves.
    @Test func whatFitsStays() {
        var replay = replay(1_000)
        _ = read(0..<1_000, &replay)
        #expect(read(0..<1_000, &replay) == 1_000)
    }

    @Test func decisionsAreThoseOfTheModel() {
        var generator = SeededGenerator()
        for capacity in [10, 37, 100, 400] {
            var replay = EvictionReplay(capacity: capacity, chunks: 1 << 14)
            var model = PolicyModel(capacity: capacity)
            for step in 0..<10_000 {
                let first = Int.random(in: 0..<4 * capacity, using: &generator)
                // Skewed, with a cycle in between.
                let number = step % 3_000 < 1_000 ? step % (2 * capacity) : Int.random(in: 0...first, using: &generator)
                let isHit = replay.read(id(UInt64(number)), size: 1)
                #expect(isHit == model.read(number), "seed \(generator.seed), capacity \(capacity), step \(step)")
            }
        }
    }

    @Test func theStoreKeepsAHotSetThroughAScanAndARestart() async throws {
        let directory = try TemporaryDirectory()
        let chunks = SampleChunks()
        var store = try openStore(directory, capacity: 16 << 20)
        for number in 0..<UInt64(30) {
            let bytes = chunks.bytes(number, length: 100_000)
            _ = try await store.put(SampleChunks.id(bytes), bytes)
            for _ in 0..<2 { _ = try store.read(SampleChunks.id(bytes)) }
        }
        await store.close()
        // What was read is known after the restart, too.
        store = try openStore(directory, capacity: 16 << 20)
        for number in 1_000..<UInt64(1_400) {
            let bytes = chunks.bytes(number, length: 100_000)
            _ = try await store.put(SampleChunks.id(bytes), bytes)
        }
        let kept = try (0..<UInt64(30)).filter {
            try store.read(SampleChunks.id(chunks.bytes($0, length: 100_000))) != nil
        }
        #expect(kept.count == 30)
        await store.close()
    }

    /// What is known of chunks that have left ends with each opening; the queues do not.
    @Test func theStoreHitsACycleLargerThanItselfInEachOpening() async throws {
        let directory = try TemporaryDirectory()
        let chunks = (0..<UInt64(160)).map { SampleChunks().bytes($0, length: 100_000) }
        for round in 0..<4 {
            let store = try openStore(directory, capacity: 16 << 20)
            var hits = 0
            for bytes in chunks {
                if try store.read(SampleChunks.id(bytes)) != nil {
                    hits += 1
                } else {
                    _ = try await store.put(SampleChunks.id(bytes), bytes)
                }
            }
            let held = Int(store.statistics.chunks)
            #expect(held < 140)
            #expect(round == 0 || hits * 10 >= held * 7, "round \(round): \(hits) of \(held)")
            await store.close()
        }
    }

    @Test func readsOfOneImageStartCountOnce() {
        let table = FrequencyTable(slots: 1024, intervalSeconds: 30)
        let chunk = id(1)
        table.reset(chunk, now: 100)
        #expect(!table.touch(chunk, now: 100))
        #expect(!table.touch(chunk, now: 129))
        #expect(table.touch(chunk, now: 130))
        #expect(!table.touch(chunk, now: 140))
        #expect(table.touch(chunk, now: 160))
        #expect(table.take(chunk) == 2)
        #expect(table.take(chunk) == 0)
        for now in 0..<UInt32(10) { _ = table.touch(chunk, now: 1_000 + 40 * now) }
        #expect(table.take(chunk) == S3FIFO.maximumFrequency)
    }

    /// Never below what was counted, and rarely above.
    @Test func theSketchEstimatesFromAbove() {
        var generator = SeededGenerator()
        var sketch = FrequencySketch(counters: 1 << 14)
        var counts: [UInt64: UInt8] = [:]
        for _ in 0..<4_000 {
            let number = UInt64.random(in: 0..<1_000, using: &generator)
            sketch.add(id(number), 1, period: .max)
            counts[number, default: 0] += 1
        }
        let differences = (0..<UInt64(2_000)).map { Int(sketch.estimate(id($0))) - Int(min(counts[$0] ?? 0, 7)) }
        #expect(differences.allSatisfy { $0 >= 0 }, "seed \(generator.seed)")
        #expect(differences.count { $0 > 0 } < 20, "seed \(generator.seed)")
    }

    @Test func countsAreHalvedInTime() {
        var sketch = FrequencySketch(counters: 1 << 14)
        for _ in 0..<6 { sketch.add(id(1), 1, period: 10) }
        #expect(sketch.estimate(id(1)) == 6)
        for number in 2...UInt64(5) { sketch.add(id(number), 1, period: 10) }
        #expect(sketch.estimate(id(1)) == 3)
    }
}

/// The policy in the plainest words, for chunks of equal size.
private struct PolicyModel {
    let capacity: Int
    var small: [Int] = []
    var main: [Int] = []
    /// Reads of what is here, up to 3, since it was looked at last.
    var reads: [Int: Int] = [:]
    /// Reads of everything, up to 7, halved now and then.
    var counts: [Int: Int] = [:]
    var counted = 0
    var trials = 0
    /// Unknown ones since the last hit.
    var strangers = 0
    var isYoung = true

    init(capacity: Int) { self.capacity = capacity }

    mutating func read(_ number: Int) -> Bool {
        count(number)
        if let count = reads[number] {
            reads[number] = min(count + 1, 3)
            strangers = 0
            return true
        }
        let isKnown = counts[number, default: 0] > 1
        if !isKnown, isYoung { strangers += 1 }
        let isTrial = !isKnown && isYoung && strangers > 4 && trials < reads.count / 2
        if isTrial { trials += 1 }
        let challenges = isKnown || isTrial
        let wins = challenges && reads.count == capacity && !main.isEmpty && wonChallenge(of: number)
        while reads.count == capacity {
            if main.isEmpty || (!small.isEmpty && small.count + 1 >= reads.count / 100) {
                dropOldestOfSmall()
            } else {
                turnMain { frequency, _ in frequency > 0 }
            }
        }
        if wins || small.count > reads.count / 50 { main.append(number) } else { small.append(number) }
        reads[number] = 0
        return false
    }

    private mutating func count(_ number: Int) {
        counts[number] = min(counts[number, default: 0] + 1, 7)
        counted += 1
        guard counted >= 10 * max(reads.count, 64) else { return }
        counted = 0
        isYoung = false
        counts = counts.mapValues { $0 / 2 }
    }

    /// Whether main's oldest chunk has left for `number`.
    private mutating func wonChallenge(of number: Int) -> Bool {
        let count = counts[number, default: 0]
        return turnMain { frequency, known in
            count <= 1 ? frequency > 0 || known > 0 : count <= max(known, frequency + 1) + 1
        }
    }

    private mutating func dropOldestOfSmall() {
        let oldest = small.removeFirst()
        if reads[oldest] == 0 {
            reads[oldest] = nil
        } else {
            reads[oldest] = 0
            main.append(oldest)
        }
    }

    /// Looks at the oldest of main; whether it has gone. Who stays goes to the end of the line.
    @discardableResult
    private mutating func turnMain(_ stays: (_ frequency: Int, _ known: Int) -> Bool) -> Bool {
        let oldest = main.removeFirst()
        let frequency = reads[oldest] ?? 0
        guard stays(frequency, counts[oldest, default: 0]) else {
            reads[oldest] = nil
            return true
        }
        reads[oldest] = max(frequency - 1, 0)
        main.append(oldest)
        return false
    }
}
