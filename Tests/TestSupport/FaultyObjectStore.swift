package import CacheCore
import NIOConcurrencyHelpers
import NIOCore

/// An object store over a real one that fails, hangs or damages what it gives when a test tells it to, and counts what
/// it is asked.
package final class FaultyObjectStore: ObjectStore {
    package enum Fault: Sendable {
        case none
        /// Every call fails at once.
        case failing
        /// Calls wait for the fault to be another one, deaf to cancellation, as a system call on a hung disk does.
        case hanging
        /// One bit of every object that is read is flipped.
        case corrupting
        /// Objects that are read are cut to half their length.
        case truncating
        /// Objects that are read are gone.
        case losing
    }

    /// Which calls a ``Fault`` hits.
    package enum Scope: Sendable {
        case chunkReads, everything
    }

    package enum Moment: Sendable {
        /// Before a call has done anything.
        case before
        /// After it has done all, so that only the answer is lost.
        case after
    }

    /// Throws to fail a call.
    package typealias Interruption = @Sendable (_ call: String, _ name: String, _ moment: Moment) throws -> Void

    private struct State {
        var fault = Fault.none
        var reads: [String] = []
        var chunkReads = 0
        var chunkPuts = 0
        var hanging: [CheckedContinuation<Void, Never>] = []
        var watchers: [(reads: Int, continuation: CheckedContinuation<Void, Never>)] = []
    }

    let base: any ObjectStore
    private let scope: Scope
    private let interruption: Interruption
    private let state = NIOLockedValueBox(State())

    /// - Parameters:
    ///   - scope: which calls the faults hit that ``set(_:)`` sets.
    ///   - interruption: is asked before and after each call, and fails it by throwing.
    package init(
        _ base: any ObjectStore, scope: Scope = .chunkReads,
        interruption: @escaping Interruption = { _, _, _ in }
    ) {
        self.base = base
        self.scope = scope
        self.interruption = interruption
    }

    /// Sets what happens from now on, and lets all go that hangs.
    package func set(_ fault: Fault) {
        let waiting = state.withLockedValue { state in
            state.fault = fault
            defer { state.hanging = [] }
            return state.hanging
        }
        for continuation in waiting { continuation.resume() }
    }

    /// Reads of chunks so far, those that hang included.
    package var chunkReads: Int { state.withLockedValue { $0.chunkReads } }
    package var chunkPuts: Int { state.withLockedValue { $0.chunkPuts } }

    /// How many times anything was read, or looked for, of objects whose name has `part` in it.
    package func reads(_ part: String) -> Int { state.withLockedValue { $0.reads.count { $0.contains(part) } } }

    /// Returns once `count` reads of chunks have begun.
    package func waitForReads(_ count: Int) async {
        await withCheckedContinuation { continuation in
            let isThere = state.withLockedValue { state in
                if state.chunkReads >= count { return true }
                state.watchers.append((count, continuation))
                return false
            }
            if isThere { continuation.resume() }
        }
    }

    /// Counts a call, then does to it what has been set; the fault that its answer is to have.
    private func enter(_ call: Call, _ name: String) async throws -> Fault {
        let isChunk = name.contains("/chunks/")
        let (fault, ready) = state.withLockedValue { state -> (Fault, [CheckedContinuation<Void, Never>]) in
            if call.isRead { state.reads.append(name) }
            if isChunk, call == .put { state.chunkPuts += 1 }
            guard isChunk, call == .get else { return (scope == .everything ? state.fault : .none, []) }
            state.chunkReads += 1
            let ready = state.watchers.filter { $0.reads <= state.chunkReads }
            state.watchers.removeAll { $0.reads <= state.chunkReads }
            return (state.fault, ready.map(\.continuation))
        }
        for continuation in ready { continuation.resume() }
        switch fault {
        case .failing: throw CacheError(.io, "injected failure of \(name)")
        case .hanging:
            await withCheckedContinuation { continuation in
                let isOver = state.withLockedValue { state in
                    guard state.fault == .hanging else { return true }
                    state.hanging.append(continuation)
                    return false
                }
                if isOver { continuation.resume() }
            }
        case .none, .corrupting, .truncating, .losing: break
        }
        return fault
    }

    /// Makes a call with all that may happen to it; what it gives and the fault that this is to have.
    func run<Answer>(
        _ call: Call, _ name: String, _ body: () async throws -> Answer
    ) async throws -> (answer: Answer, fault: Fault) {
        let fault = try await enter(call, name)
        try interruption(call.rawValue, name, .before)
        let answer = try await body()
        try interruption(call.rawValue, name, .after)
        return (answer, fault)
    }
}
