import CacheCore
import NIOConcurrencyHelpers
import NIOCore
import TestSupport
import Testing

@testable import CacheObjectStore

@Suite(.timeLimit(.minutes(10))) struct ObjectStoreDecoratorTests {
    private let scratch: TemporaryDirectory
    private let store: FileObjectStore
    private let body = ByteBuffer(string: "hello")

    init() throws {
        scratch = try TemporaryDirectory()
        store = try scratch.store()
    }

    // MARK: Limit

    @Test func aLimitBoundsWhatRunsAndWhatWaits() async throws {
        let gate = GatedObjectStore(base: store)
        let limited = LimitedObjectStore(gate, name: "calls", concurrency: 2, queue: 3)
        func begin(_ number: Int) -> Task<StoredObject?, any Error> {
            Task { try await limited.get(key("k/\(number)"), limit: 9) }
        }
        let running = (0..<2).map(begin)
        await gate.waitForCalls(2)
        let waiting = (2..<5).map(begin)
        while !limited.isFull { await Task.yield() }
        let refused = await failure { try await limited.get(key("k/more"), limit: 9) }
        #expect(refused?.code == .overloaded)
        #expect(refused?.message.contains("too many calls") == true)
        // One that leaves the queue makes room in it; one that ends makes room for the first of the queue.
        waiting[0].cancel()
        while limited.isFull { await Task.yield() }
        #expect(gate.calls == 2)
        gate.open()
        for call in running + waiting.dropFirst() { #expect(try await call.value?.version == nil) }
        await #expect(throws: CancellationError.self) { try await waiting[0].value }
        #expect(gate.calls == 4)
        #expect(gate.most == 2)
        #expect(try await limited.head(key("k/more")) == nil)
    }

    @Test func aCallThatFailsGivesItsPlaceBack() async throws {
        let failing = FaultyObjectStore(store) { _, name, moment in
            if moment == .before, name.hasPrefix("bad/") { throw CacheError(.io, "injected failure of \(name)") }
        }
        let limited = LimitedObjectStore(failing, name: "calls", concurrency: 1, queue: 0)
        for number in 0..<4 { #expect(await failure { try await limited.head(key("bad/\(number)")) }?.code == .io) }
        #expect(try await limited.putIfAbsent(key("good"), body) == .created)
    }

    // MARK: Deadline

    @Test func aCallThatHangsIsAnErrorThatNamesItsObject() async throws {
        let gate = GatedObjectStore(base: store)
        let timely = DeadlineObjectStore(
            gate, deadline: .seconds(30), deadlines: Deadlines(time: TimeSource(ImpatientClock())))
        let read = await failure { try await timely.get(key("a/b"), range: 0..<1) }
        #expect(read?.code == .timedOut)
        #expect(read?.message.hasPrefix("L3 object a/b did not answer within") == true)
        let list = await failure { try await timely.list(prefix: "a/", delimiter: true, after: nil, limit: 1) }
        #expect(list?.code == .timedOut)
        #expect(list?.message.contains("a/*") == true)
        gate.open()
    }

    // MARK: Retries

    /// A store whose calls of `operation` fail `failures` times, the retries above it, and the waits of these.
    private func retrying(
        _ operation: String, failures: Int, code: CacheError.Code = .timedOut,
        moment failing: FaultyObjectStore.Moment = .before, policy: RetryPolicy = RetryPolicy(attempts: 4)
    ) -> (store: RetryingObjectStore, calls: NIOLockedValueBox<Int>, clock: ImpatientClock) {
        let calls = NIOLockedValueBox(0)
        let faulty = FaultyObjectStore(store) { call, name, moment in
            guard call == operation, moment == failing else { return }
            let number = calls.withLockedValue { calls in
                calls += 1
                return calls
            }
            if number <= failures { throw CacheError(code, "failure \(number) of \(name)") }
        }
        let clock = ImpatientClock()
        let retrying = RetryingObjectStore(faulty, policy: policy, time: TimeSource(clock)) { 0.5 }
        return (retrying, calls, clock)
    }

    @Test(arguments: [CacheError.Code.timedOut, .overloaded])
    func aTransientErrorIsTriedAgainAfterLongerAndLongerWaits(_ code: CacheError.Code) async throws {
        let (retrying, calls, clock) = retrying("get", failures: 3, code: code)
        #expect(try await retrying.get(key("a"), limit: 9) == nil)
        #expect(calls.withLockedValue { $0 } == 4)
        #expect(clock.waits == [.milliseconds(50), .milliseconds(100), .milliseconds(200)])
    }

    @Test func attemptsAreBoundedAndTheLastErrorIsTold() async throws {
        let (retrying, calls, clock) = retrying("get", failures: .max)
        let error = await failure { try await retrying.get(key("a"), range: 0..<1) }
        #expect(error?.code == .timedOut)
        #expect(error?.message == "failure 4 of a")
        #expect(calls.withLockedValue { $0 } == 4)
        #expect(clock.waits.count == 3)
    }

    @Test(arguments: [
        CacheError.Code.corrupt, .missing, .key, .invalidInput, .limitExceeded, .unsupported, .io, .conflict, .closed,
    ])
    func anErrorThatStaysIsFinalAtOnce(_ code: CacheError.Code) async throws {
        let (retrying, calls, clock) = retrying("get", failures: .max, code: code)
        #expect(await failure { try await retrying.get(key("a"), limit: 9) }?.code == code)
        #expect(calls.withLockedValue { $0 } == 1)
        #expect(clock.waits.isEmpty)
    }

    @Test func whatIsNotSafeToRepeatIsNotRepeated() async throws {
        let (replacing, replaced, _) = retrying("replace", failures: .max)
        #expect(await failure { try await replacing.replace(key("a"), body, expecting: nil) }?.code == .timedOut)
        let (deleting, deleted, _) = retrying("delete", failures: .max)
        #expect(await failure { try await deleting.delete(key("a")) }?.code == .timedOut)
        #expect(replaced.withLockedValue { $0 } == 1)
        #expect(deleted.withLockedValue { $0 } == 1)
    }

    @Test(arguments: ["head", "put", "list"]) func whatIsSafeToRepeatIs(_ operation: String) async throws {
        let (retrying, calls, _) = retrying(operation, failures: 2)
        #expect(try await retrying.head(key("a")) == nil)
        #expect(try await retrying.putIfAbsent(key("a"), body) == .created)
        #expect(try await retrying.list(prefix: "", delimiter: true, after: nil, limit: 9).objects.count == 1)
        #expect(calls.withLockedValue { $0 } == 3)
    }

    /// The object is there and whole, though the caller is told that another writer put it.
    @Test func aPutWhoseAnswerWasLostFindsItsObject() async throws {
        let (retrying, _, _) = retrying("put", failures: 1, moment: .after)
        #expect(try await retrying.putIfAbsent(key("a"), body) == .alreadyPresent)
        #expect(try await store.text("a") == "hello")
    }

    @Test func aWaitBetweenAttemptsEndsWithItsTask() async throws {
        let faulty = FaultyObjectStore(store) { _, _, moment in
            if moment == .before { throw CacheError(.timedOut, "no answer") }
        }
        let retrying = RetryingObjectStore(
            faulty, policy: RetryPolicy(firstWait: .seconds(1_000_000), longestWait: .seconds(1_000_000)))
        let call = Task { try await retrying.head(key("a")) }
        call.cancel()
        await #expect(throws: CancellationError.self) { try await call.value }
    }

    @Test func waitsDoubleUpToTheLongest() {
        let policy = RetryPolicy(attempts: 99, firstWait: .milliseconds(100), longestWait: .seconds(2))
        let waits = (1...7).map { policy.wait(afterAttempt: $0, jitter: 1) }
        #expect(waits == [100, 200, 400, 800, 1600, 2000, 2000].map { .milliseconds($0) })
        #expect(policy.wait(afterAttempt: .max, jitter: 1) == .seconds(2))
        #expect(policy.wait(afterAttempt: 3, jitter: 0) == .zero)
    }

    // MARK: Measurements

    @Test func callsAreCountedWithTheirBytesErrorsAndTimes() async throws {
        let clock = ImpatientClock()
        let slow = FaultyObjectStore(store) { call, name, moment in
            if moment == .after { clock.advance(by: .milliseconds(7)) }
            if moment == .before, name == "bad" { throw CacheError(.io, "injected failure of \(call)") }
        }
        let measured = MeasuredObjectStore(slow, time: TimeSource(clock))
        #expect(measured.statistics == ObjectStoreStatistics())
        for _ in 0..<2 { _ = try await measured.putIfAbsent(key("a"), body) }
        _ = try await measured.get(key("a"), limit: 9)
        _ = try await measured.get(key("none"), limit: 9)
        _ = try await measured.get(key("a"), range: 1..<3)
        _ = try await measured.replace(key("b"), body, expecting: nil)
        _ = try await measured.list(prefix: "", delimiter: false, after: nil, limit: 9)
        try await measured.delete(key("b"))
        #expect(await failure { try await measured.head(key("bad")) }?.code == .io)
        #expect(await failure { try await measured.putIfAbsent(key("bad"), body) }?.code == .io)
        let expected: [(ObjectOperation, calls: Int, failures: Int, bytes: Int, milliseconds: Int)] = [
            (.putIfAbsent, 3, 1, 10, 14), (.get, 2, 0, 5, 14), (.getRange, 1, 0, 2, 7), (.replace, 1, 0, 5, 7),
            (.list, 1, 0, 0, 7), (.delete, 1, 0, 0, 7), (.head, 1, 1, 0, 0),
        ]
        for (operation, calls, failures, bytes, milliseconds) in expected {
            let counts = measured.statistics[operation]
            #expect(counts.calls == calls, "\(operation)")
            #expect(counts.failures == failures, "\(operation)")
            #expect(counts.bytes == bytes, "\(operation)")
            #expect(counts.time == .milliseconds(milliseconds), "\(operation)")
            #expect(counts.underWay == 0, "\(operation)")
        }
    }

    @Test func aCallUnderWayIsCountedAndACancelledOneIsNoFailure() async throws {
        let gate = GatedObjectStore(base: store)
        let measured = MeasuredObjectStore(LimitedObjectStore(gate, name: "calls", concurrency: 1, queue: 9))
        let first = Task { try await measured.head(key("a")) }
        await gate.waitForCalls(1)
        let second = Task { try await measured.head(key("a")) }
        second.cancel()
        await #expect(throws: CancellationError.self) { try await second.value }
        let counts = measured.statistics[.head]
        #expect(counts.calls == 2)
        #expect(counts.underWay == 1)
        #expect(counts.failures == 0)
        gate.open()
        #expect(try await first.value == nil)
        #expect(measured.statistics[.head].underWay == 0)
    }

    // MARK: Composition

    @Test func aDirectoryNeedsNothingAroundIt() throws {
        let location = try ObjectStoreLocation.parse(scratch.path)
        #expect(location.resilience == .none)
        #expect(try location.open(create: false) is FileObjectStore)
        #expect(store.resilient(.none) as? FileObjectStore === store)
    }

    /// The limit is outside: what it refuses is not tried again, though `.overloaded` is transient when the store says
    /// it.
    @Test func whatTheLimitRefusesIsNotTriedAgain() async throws {
        let gate = GatedObjectStore(base: store)
        let policy = ResiliencePolicy(
            retries: RetryPolicy(firstWait: .seconds(1_000_000), longestWait: .seconds(1_000_000)),
            limit: .init(concurrency: 1, queue: 0))
        let resilient = gate.resilient(policy)
        let first = Task { try await resilient.head(key("a")) }
        await gate.waitForCalls(1)
        #expect(await failure { try await resilient.head(key("b")) }?.code == .overloaded)
        gate.open()
        #expect(try await first.value == nil)
        #expect(gate.calls == 1)
    }
}
