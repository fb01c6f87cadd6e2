import CacheCore
import CacheServer
import Glibc
import NIOCore
import TestSupport
import Testing

/// What happens to the files of the store while the daemon runs costs chunks, but never the daemon and never an answer.
@Suite(.timeLimit(.minutes(10)))
struct LiveDamageTests {
    enum Damage: String, CaseIterable {
        case roots, index, everything, noise, shorter, empty, emptyAndLongAgain, removed, replaced, lockCut
    }

    @Test(arguments: Damage.allCases) func storeIsOpenedAgain(_ damage: Damage) async throws {
        try await TestServer.run(memory: 0, capacity: 64 << 20) { server async throws in
            let chunks = (0..<6).map { TestChunk(seed: $0, length: 300_000) }
            for chunk in chunks { #expect(try await server.put(chunk).status == 201) }
            try harm(server.directory + "/data.mdb", damage)
            for chunk in chunks {
                let answer = try await server.checkedGet(chunk)
                #expect(answer.status == 404 || answer.status == 200)
            }
            #expect(try await server.put(TestChunk(seed: 100)).status == 201)
            #expect(try await server.call("GET", server.url("/readyz")).status == 200)
            for chunk in chunks {
                #expect([200, 201].contains(try await server.put(chunk).status))
                #expect(try await server.get(chunk).body == chunk.bytes)
            }
        }
    }

    /// Again and again, while clients read and write.
    @Test func damageUnderLoadNeverGivesWrongBytes() async throws {
        let seed = UInt64.random(in: 0...UInt64.max)
        print("seed \(seed)")
        try await TestServer.run(memory: 0, capacity: 32 << 20) { server async throws in
            try await withThrowingTaskGroup(of: Void.self) { group in
                for client in 0..<4 as Range<UInt64> {
                    group.addTask { () async throws in
                        for round in 0..<60 as Range<UInt64> {
                            let chunk = TestChunk(seed: client << 32 + round % 20, length: 100_000)
                            let put = try await server.put(chunk).status
                            #expect([200, 201, 503].contains(put), "\(put)")
                            _ = try await server.checkedGet(chunk)
                        }
                    }
                }
                group.addTask { () async throws in
                    var random = SeededGenerator(seed: seed)
                    for _ in 0..<6 {
                        for _ in 0..<random.next() % 2_000 { await Task.yield() }
                        // A file that is cut off under a read is what the kernel ends a process for.
                        let kinds: [Damage] = [.roots, .index, .noise, .removed]
                        try harm(server.directory + "/data.mdb", kinds[Int(random.next() % 4)], random.next())
                    }
                }
                try await group.waitForAll()
            }
            #expect(try await server.call("GET", server.url("/healthz")).status == 200)
        }
    }

    private func harm(_ path: String, _ damage: Damage, _ seed: UInt64 = 1) throws {
        let page = 4_096
        let descriptor = open(path, O_RDWR)
        // Removed already, and not made again yet.
        guard descriptor >= 0 else { return }
        defer { close(descriptor) }
        let length = Int(lseek(descriptor, 0, SEEK_END))
        var random = SeededGenerator(seed: seed)
        func write(_ pages: Range<Int>, _ make: () -> UInt8) {
            for number in pages where number * page < length {
                let bytes = (0..<page).map { _ in make() }
                pwrite(descriptor, bytes, page, off_t(number * page))
            }
        }
        switch damage {
        case .roots: write(0..<2) { 0 }
        case .index: write(2..<12) { 0 }
        case .everything: write(0..<length / page) { 0xFF }
        case .noise:
            let first = Int(random.next() % 24)
            write(first..<first + 3) { UInt8(truncatingIfNeeded: random.next()) }
        case .shorter: ftruncate(descriptor, 40_960)
        case .empty: ftruncate(descriptor, 0)
        case .emptyAndLongAgain:
            ftruncate(descriptor, 0)
            ftruncate(descriptor, off_t(length))
        case .lockCut: truncate(path.replacing("data.mdb", with: "lock.mdb"), 0)
        case .removed: unlink(path)
        case .replaced:
            let other = open(path + ".new", O_RDWR | O_CREAT, 0o600)
            ftruncate(other, off_t(length))
            close(other)
            rename(path + ".new", path)
        }
    }
}

extension TestServer {
    /// As a client does it: bytes that are not what their name says are reported, and what comes after that is right or
    /// a miss.
    fileprivate func checkedGet(_ chunk: TestChunk) async throws -> Reply {
        let first = try await get(chunk)
        if first.status == 404 || first.body == chunk.bytes { return first }
        // Between the two the damage may have been found by others, and the chunk put anew.
        #expect([200, 404, 409, 429].contains(try await report(chunk).status))
        return try await get(chunk)
    }
}
