import CacheCore
import Glibc
import NIOCore
import TestSupport

/// One damaged copy of a store, opened and used through a whole cycle. A crash ends the process; wrong bytes throw.
struct StoreFuzz {
    let template: String
    let capacity: UInt64
    let seed: UInt64

    struct Wrong: Error {
        let seed: UInt64
        let what: String
    }

    func run() async throws {
        StoreExerciser.say("seed \(seed)")
        let directory = "\(template)-fuzz"
        mkdir(directory, 0o700)
        let chunks = SampleChunks()
        var generator = SeededGenerator(seed: seed)
        try damageCopy("\(template)/data.mdb", "\(directory)/data.mdb", &generator)
        let store: ChunkStore
        do {
            store = try ChunkStore.open(directory, options: .init(capacity: capacity), logger: StoreExerciser.logger)
        } catch let error as CacheError where error.code == .unsupported && error.message.contains("newer") {
            // The damage happens to read as a later version, whose stores are left as they are.
            return
        }
        // What the template holds, then as much again as evicts all of it, then what that left.
        for number in 0..<UInt64(60) { try await check(store, chunks, number) }
        let many = UInt64(capacity / 100_000)
        for number in 1000..<1000 + many {
            let bytes = chunks.bytes(number)
            _ = try await store.put(SampleChunks.id(bytes), bytes)
        }
        for number in (1000 + many - 4)..<1000 + many { try await check(store, chunks, number) }
        let bytes = chunks.bytes(5000)
        _ = try await store.put(SampleChunks.id(bytes), bytes)
        guard try store.read(SampleChunks.id(bytes)) == bytes else {
            throw Wrong(seed: seed, what: "a chunk that was just put is missing")
        }
        await store.close()
        // What this left must pass the check.
        let again = try ChunkStore.open(directory, options: .init(capacity: capacity), logger: StoreExerciser.logger)
        guard again.statistics.faults.resets == 0 else {
            throw Wrong(seed: seed, what: "the repaired store did not pass")
        }
        await again.close()
    }

    private func check(_ store: ChunkStore, _ chunks: SampleChunks, _ number: UInt64) async throws {
        let bytes = chunks.bytes(number)
        do {
            if let found = try store.read(SampleChunks.id(bytes)), found != bytes {
                throw Wrong(seed: seed, what: "wrong bytes of chunk \(number)")
            }
        } catch let error as CacheError where error.code == .corrupt {
            try await store.flush()
            guard try !store.contains(SampleChunks.id(bytes)) else {
                throw Wrong(seed: seed, what: "chunk \(number) is damaged and was not dropped")
            }
        }
    }

    private func damageCopy(_ from: String, _ to: String, _ generator: inout SeededGenerator) throws {
        guard var bytes = try Self.load(from) else { throw Wrong(seed: seed, what: "no template") }
        let places = Places(bytes)
        for _ in 0..<Int.random(in: 1...3, using: &generator) { places.damage(&bytes, &generator) }
        if Int.random(in: 0..<16, using: &generator) == 0 {
            bytes.removeLast(bytes.count - Int.random(in: 0...bytes.count, using: &generator))
        }
        try Self.save(bytes, to)
    }

    private static func load(_ path: String) throws -> [UInt8]? {
        let descriptor = open(path, O_RDONLY)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        let count = Int(lseek(descriptor, 0, SEEK_END))
        return [UInt8](unsafeUninitializedCapacity: count) { bytes, filled in
            filled = max(0, pread(descriptor, bytes.baseAddress, count, 0))
        }
    }

    private static func save(_ bytes: [UInt8], _ path: String) throws {
        unlink(path)
        let descriptor = open(path, O_RDWR | O_CREAT, 0o600)
        guard descriptor >= 0 else { return }
        defer { close(descriptor) }
        _ = bytes.withUnsafeBytes { write(descriptor, $0.baseAddress, $0.count) }
    }
}
