import CacheCore
import Glibc
import NIOCore
import TestSupport

/// A store that is damaged again and again while it is in use. A crash ends the process; wrong bytes throw.
struct LiveDamage {
    /// How the damage comes: by `write`, which the file's times tell of; by a map, where the filesystem notes no time
    /// for that (tmpfs); or by `write` while the store writes.
    enum Way: CaseIterable { case written, mapped, meanwhile }

    let directory: String
    let capacity: UInt64
    let seed: UInt64

    private var path: String { "\(directory)/data.mdb" }

    func run(rounds: Int) async throws {
        var options = ChunkStore.Options(capacity: capacity)
        options.clock = NoClock()
        let store = try ChunkStore.open(directory, options: options, logger: StoreExerciser.logger)
        let chunks = SampleChunks()
        var generator = SeededGenerator(seed: seed)
        for round in 0..<rounds {
            let way = Way.allCases.randomElement(using: &generator) ?? .written
            StoreExerciser.say("seed \(seed) round \(round) \(way)")
            try await use(store, chunks, 0..<60)
            if way == .meanwhile {
                let roundSeed = generator.next()
                try await withThrowingTaskGroup(of: Void.self) { group in
                    group.addTask {
                        var generator = SeededGenerator(seed: roundSeed)
                        for _ in 0..<3 { try damage(&generator, mapped: false) }
                    }
                    try await use(store, chunks, 100..<160)
                    try await group.waitForAll()
                }
            } else {
                try damage(&generator, mapped: way == .mapped)
            }
            // What was there, then as much as evicts all of it.
            try await use(store, chunks, 0..<60)
            try await use(store, chunks, 1000..<1000 + UInt64(capacity / 100_000))
            let bytes = chunks.bytes(5000 + UInt64(round))
            try await put(store, bytes)
            guard try store.read(SampleChunks.id(bytes)) == bytes else {
                throw StoreFuzz.Wrong(seed: seed, what: "a chunk that was just put is missing")
            }
        }
        StoreExerciser.say(
            "reopened \(store.statistics.faults.reopenings) times, reset \(store.statistics.faults.resets)")
        await store.close()
    }

    private func use(_ store: ChunkStore, _ chunks: SampleChunks, _ numbers: Range<UInt64>) async throws {
        for number in numbers {
            let bytes = chunks.bytes(number)
            do {
                if let found = try store.read(SampleChunks.id(bytes)), found != bytes {
                    throw StoreFuzz.Wrong(seed: seed, what: "wrong bytes of chunk \(number)")
                }
            } catch let error as CacheError where error.code == .corrupt {
                // Dropped soon.
            }
            try await put(store, bytes)
        }
    }

    /// Anything but a store that is being opened again is a failure.
    private func put(_ store: ChunkStore, _ bytes: ByteBuffer) async throws {
        for _ in 0..<20 {
            do {
                _ = try await store.put(SampleChunks.id(bytes), bytes)
                return
            } catch let error as CacheError where error.code == .overloaded {}
        }
        throw StoreFuzz.Wrong(seed: seed, what: "a chunk cannot be put")
    }

    private func damage(_ generator: inout SeededGenerator, mapped: Bool) throws {
        let descriptor = open(path, O_RDWR)
        // Just being made again.
        guard descriptor >= 0 else { return }
        defer { close(descriptor) }
        let count = Int(lseek(descriptor, 0, SEEK_END)) / 4096 * 4096
        guard count > 0 else { return }
        let before = [UInt8](unsafeUninitializedCapacity: count) { bytes, filled in
            filled = max(0, pread(descriptor, bytes.baseAddress, count, 0))
        }
        guard before.count == count else { return }
        var after = before
        let places = Places(before)
        for _ in 0..<Int.random(in: 1...3, using: &generator) { places.damage(&after, &generator) }
        let map = mapped ? mmap(nil, count, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0) : nil
        defer { if let map { munmap(map, count) } }
        before.withUnsafeBytes { before in
            after.withUnsafeBytes { after in
                guard let before = before.baseAddress, let after = after.baseAddress else { return }
                for page in stride(from: 0, to: count, by: 4096) where memcmp(before + page, after + page, 4096) != 0 {
                    if let map, map != MAP_FAILED {
                        (map + page).copyMemory(from: after + page, byteCount: 4096)
                    } else {
                        pwrite(descriptor, after + page, 4096, off_t(page))
                    }
                }
            }
        }
    }
}

/// Pauses that take no time.
struct NoClock: Clock {
    typealias Instant = ContinuousClock.Instant

    var now: Instant { ContinuousClock.now }
    var minimumResolution: Duration { .zero }

    func sleep(until deadline: Instant, tolerance: Duration?) async throws {
        // How long writers wait is longer than any pause before a first attempt, and is not cut short.
        if deadline - now > .seconds(4.5) { try await ContinuousClock().sleep(until: deadline, tolerance: tolerance) }
    }
}
