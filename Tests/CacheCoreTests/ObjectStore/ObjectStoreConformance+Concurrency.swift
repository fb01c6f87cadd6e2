import CacheCore
import NIOCore
import Testing

/// What every object store must do when several callers use it at once.
extension ObjectStoreConformance {
    /// Exactly one writer of a key wins, and it is the winner's bytes that stay.
    static func checkRacingPuts(_ store: any ObjectStore) async throws {
        let winners = try await withThrowingTaskGroup { group in
            for number in 0..<20 {
                group.addTask {
                    let outcome = try await store.putIfAbsent(key("a/b/c"), ByteBuffer(string: "\(number)"))
                    return outcome == .created ? number : nil
                }
            }
            return try await group.reduce(into: []) { if let number = $1 { $0.append(number) } }
        }
        #expect(winners.count == 1)
        #expect(try await store.text("a/b/c") == winners.first.map { "\($0)" })
    }

    static func checkRacingSwaps(_ store: any ObjectStore) async throws {
        try await withThrowingTaskGroup { group in
            for _ in 0..<8 {
                group.addTask { for _ in 0..<10 { try await store.increment(key("n")) } }
            }
            try await group.waitForAll()
        }
        #expect(try await store.text("n") == "80")
    }

    /// A call that is cancelled ends, with what it did or with an error; it leaves a whole object or none, and later
    /// calls their room.
    static func checkCancellation(_ store: any ObjectStore) async throws {
        let body = ByteBuffer(repeating: 0x5A, count: 1 << 18)
        let puts = try (0..<24).map { number in
            let key = try key("c/\(number)")
            return (key, Task { try await store.putIfAbsent(key, body) })
        }
        for (_, task) in puts.prefix(16) { task.cancel() }
        for (key, task) in puts {
            let result = await task.result
            let found = try await store.get(key, limit: 1 << 20)?.body
            #expect(found == nil || found == body, "\(key)")
            switch result {
            case .success(let outcome):
                #expect(outcome == .created, "\(key)")
                #expect(found != nil, "\(key)")
            case .failure(let error): #expect(error is CancellationError, "\(key): \(error)")
            }
        }
        for (_, task) in puts.suffix(8) { #expect(try await task.value == .created) }
        // Cancelled before it began.
        let late = Task {
            withUnsafeCurrentTask { $0?.cancel() }
            return try await store.replace(key("late"), body, expecting: nil)
        }
        let outcome = await late.result
        let found = try await store.get(key("late"), limit: 1 << 20)
        switch outcome {
        case .success(let version):
            #expect(found?.version == version)
            #expect(found?.body == body)
        case .failure(let error):
            #expect(error is CancellationError, "\(error)")
            #expect(found == nil || found?.body == body)
        }
        for (key, _) in puts { _ = try await store.putIfAbsent(key, body) }
        let page = try await store.list(prefix: "c/", delimiter: false, after: nil, limit: 100)
        #expect(page.objects.map(\.size) == Array(repeating: 1 << 18, count: puts.count))
    }
}
