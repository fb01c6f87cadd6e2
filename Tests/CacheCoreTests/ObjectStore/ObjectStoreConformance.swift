import CacheCore
import NIOCore
import Testing

/// What every object store must do. Each check wants a store that is empty.
enum ObjectStoreConformance: String, CaseIterable {
    case absent, putAndGet, ranges, limit, putIfAbsentKeeps, compareAndSwap, delete, emptyObject, largeObject,
        hostileKeys
    case racingPuts, racingSwaps, cancellation
    case pages, prefixes, delimiterPages, emptiedPrefix, hostilePrefixes

    func check(_ store: any ObjectStore) async throws {
        switch self {
        case .absent: try await Self.checkAbsent(store)
        case .putAndGet: try await Self.checkPutAndGet(store)
        case .ranges: try await Self.checkRanges(store)
        case .limit: try await Self.checkLimit(store)
        case .putIfAbsentKeeps: try await Self.checkPutIfAbsentKeeps(store)
        case .compareAndSwap: try await Self.checkCompareAndSwap(store)
        case .delete: try await Self.checkDelete(store)
        case .emptyObject: try await Self.checkEmptyObject(store)
        case .largeObject: try await Self.checkLargeObject(store)
        case .hostileKeys: try await Self.checkHostileKeys(store)
        case .racingPuts: try await Self.checkRacingPuts(store)
        case .racingSwaps: try await Self.checkRacingSwaps(store)
        case .cancellation: try await Self.checkCancellation(store)
        case .pages: try await Self.checkPages(store)
        case .prefixes: try await Self.checkPrefixes(store)
        case .delimiterPages: try await Self.checkDelimiterPages(store)
        case .emptiedPrefix: try await Self.checkEmptiedPrefix(store)
        case .hostilePrefixes: try await Self.checkHostilePrefixes(store)
        }
    }
}

extension ObjectPage {
    static let empty = ObjectPage(objects: [], prefixes: [], next: nil)
}

extension ObjectStore {
    func text(_ name: String) async throws -> String? {
        try await get(key(name), limit: 1 << 20).map { String(buffer: $0.body) }
    }

    /// Puts objects whose bytes are their names, in another order than that of the names.
    func fill(_ names: [String]) async throws {
        for name in names.reversed() { _ = try await putIfAbsent(key(name), ByteBuffer(string: name)) }
    }

    /// Adds one to the number in an object.
    func increment(_ key: ObjectKey) async throws {
        while true {
            let now = try await get(key, limit: 100)
            let number = now.flatMap { Int(String(buffer: $0.body)) } ?? 0
            if try await replace(key, ByteBuffer(string: "\(number + 1)"), expecting: now?.version) != nil { return }
        }
    }
}
