package import CacheBase
package import NIOCore
internal import Synchronization

/// An object store that counts its calls, their failures and bytes, and the time that they take.
///
/// Costs a call two looks at the clock and five relaxed additions.
package final class MeasuredObjectStore: ObjectStoreDecorator {
    private let base: any ObjectStore
    private let time: TimeSource
    private let get = Counter()
    private let getRange = Counter()
    private let head = Counter()
    private let putIfAbsent = Counter()
    private let replace = Counter()
    private let delete = Counter()
    private let list = Counter()

    /// Numbers of one operation. They are read one after another, so together they may belong to no single moment.
    private final class Counter: Sendable {
        let calls = Atomic<Int>(0)
        let ended = Atomic<Int>(0)
        let failures = Atomic<Int>(0)
        let bytes = Atomic<Int>(0)
        let nanoseconds = Atomic<Int>(0)

        var counts: ObjectStoreStatistics.Counts {
            var counts = ObjectStoreStatistics.Counts()
            // What has ended is read first, so that it is never more than what has begun.
            let ended = ended.load(ordering: .relaxed)
            counts.calls = max(calls.load(ordering: .relaxed), ended)
            counts.underWay = counts.calls - ended
            counts.failures = failures.load(ordering: .relaxed)
            counts.bytes = bytes.load(ordering: .relaxed)
            counts.time = .nanoseconds(nanoseconds.load(ordering: .relaxed))
            return counts
        }
    }

    /// - Parameter time: the clock that calls are measured by.
    package init(_ base: any ObjectStore, time: TimeSource = .system) {
        self.base = base
        self.time = time
    }

    /// What was counted so far.
    package var statistics: ObjectStoreStatistics {
        ObjectOperation.allCases.reduce(into: ObjectStoreStatistics()) { $0[$1] = counter(of: $1).counts }
    }

    package func perform<Result: Sendable>(
        _ call: ObjectCall, _ body: @escaping @Sendable (any ObjectStore) async throws -> Result
    ) async throws -> Result {
        let counter = counter(of: call.operation)
        let start = time.now()
        counter.calls.add(1, ordering: .relaxed)
        defer {
            counter.nanoseconds.add((time.now() - start).wholeNanoseconds, ordering: .relaxed)
            counter.ended.add(1, ordering: .relaxed)
        }
        do {
            let result = try await body(base)
            counter.bytes.add(call.sentBytes, ordering: .relaxed)
            return result
        } catch {
            if !(error is CancellationError) { counter.failures.add(1, ordering: .relaxed) }
            throw error
        }
    }

    // The bytes that a read brings are known here alone.

    package func get(_ key: ObjectKey, limit: Int) async throws -> StoredObject? {
        let found = try await perform(ObjectCall(.get, key.rawValue)) { try await $0.get(key, limit: limit) }
        get.bytes.add(found?.body.readableBytes ?? 0, ordering: .relaxed)
        return found
    }

    package func get(_ key: ObjectKey, range: Range<Int>) async throws -> ByteBuffer? {
        let found = try await perform(ObjectCall(.getRange, key.rawValue)) { try await $0.get(key, range: range) }
        getRange.bytes.add(found?.readableBytes ?? 0, ordering: .relaxed)
        return found
    }

    private func counter(of operation: ObjectOperation) -> Counter {
        switch operation {
        case .get: get
        case .getRange: getRange
        case .head: head
        case .putIfAbsent: putIfAbsent
        case .replace: replace
        case .delete: delete
        case .list: list
        }
    }
}

extension Duration {
    /// Whole nanoseconds of a span below 292 years.
    fileprivate var wholeNanoseconds: Int {
        let (seconds, attoseconds) = components
        return Int(truncatingIfNeeded: seconds) &* 1_000_000_000 &+ Int(truncatingIfNeeded: attoseconds / 1_000_000_000)
    }
}
