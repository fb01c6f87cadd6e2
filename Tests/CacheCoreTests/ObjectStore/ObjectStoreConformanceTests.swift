import CacheCore
import NIOConcurrencyHelpers
import TestSupport
import Testing

@testable import CacheObjectStore

/// Every object store, and every decorator of one, meets every requirement.
@Suite struct ObjectStoreConformanceTests {
    @Test(arguments: ObjectStoreKind.allCases, ObjectStoreConformance.allCases)
    func conforms(_ kind: ObjectStoreKind, _ requirement: ObjectStoreConformance) async throws {
        let scratch = try TemporaryDirectory()
        try await requirement.check(kind.make(in: scratch))
    }
}

/// The object stores of this project.
enum ObjectStoreKind: String, CaseIterable {
    /// What a path names, as the command line opens it.
    case location
    case directory, late, limited, deadline, measured, retrying
    /// Retries above a store of which every second call times out before it has done anything.
    case retryingUnreliable
    /// What a store behind a network gets, all at once.
    case resilient

    func make(in scratch: TemporaryDirectory) throws -> any ObjectStore {
        let directory = try scratch.store()
        switch self {
        case .location: return try ObjectStoreLocation.parse(scratch.path).open(create: false)
        case .directory: return directory
        case .late: return LateObjectStore { try FileObjectStore(root: scratch.path, create: false) }
        case .limited: return LimitedObjectStore(directory, name: "calls", concurrency: 2, queue: 100)
        case .deadline:
            return DeadlineObjectStore(directory, deadline: .seconds(3600), deadlines: Deadlines())
        case .measured: return MeasuredObjectStore(directory)
        case .retrying: return RetryingObjectStore(directory, policy: RetryPolicy())
        case .retryingUnreliable:
            let calls = NIOLockedValueBox(0)
            let unreliable = FaultyObjectStore(directory) { call, name, moment in
                guard moment == .before, call != "replace", call != "delete" else { return }
                let number = calls.withLockedValue { calls in
                    calls += 1
                    return calls
                }
                if number % 2 == 1 { throw CacheError(.timedOut, "injected failure of \(call) \(name)") }
            }
            // Of calls at the same time, one may have all the failures, one after another.
            return RetryingObjectStore(
                unreliable, policy: RetryPolicy(attempts: 1000, firstWait: .zero, longestWait: .zero))
        case .resilient:
            return LateObjectStore { MeasuredObjectStore(directory.resilient(.network)) }
        }
    }
}
