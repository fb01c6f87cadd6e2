internal import CacheBase
internal import NIOConcurrencyHelpers

/// Hands out read transactions, keeps some idle ones, and knows when the last one has come back.
///
/// `@unchecked Sendable`: the idle transactions are touched only under the lock, and one that was handed out belongs to
/// one caller.
final class ReadPool: @unchecked Sendable {
    /// Each idle transaction holds one of LMDB's reader slots.
    private static let maximumIdle = 32

    private let lock = NIOLock()
    private var environment: Environment?
    private var idle: [ReadTransaction] = []
    private var active = 0
    private let drained = ConditionLock(value: false)

    init(_ environment: Environment) {
        self.environment = environment
    }

    /// Runs `body` within a read transaction on the newest commit. Costs about 0.2 us; never blocks on writers.
    func read<R>(_ body: (ReadTransaction) throws -> R) throws -> R {
        let transaction = try takeOne()
        defer { giveBack(transaction) }
        let result = Result { try body(transaction) }
        // The result, or the error, is worth nothing if a page could not be read: zeros were in its place.
        try transaction.checkMap()
        return try result.get()
    }

    private func takeOne() throws -> ReadTransaction {
        let taken: (environment: Environment, idle: ReadTransaction?)? = lock.withLock {
            guard let environment else { return nil }
            active += 1
            return (environment, idle.popLast())
        }
        guard let taken else { throw CacheError(.closed, "the chunk store is closed") }
        do throws(LMDBFailure) {
            return try begin(taken.environment, taken.idle)
        } catch {
            leave()
            throw error
        }
    }

    private func begin(_ environment: Environment, _ idle: ReadTransaction?) throws(LMDBFailure) -> ReadTransaction {
        if let idle {
            do throws(LMDBFailure) {
                try idle.renew()
                return idle
            } catch {
                idle.close()
                throw error
            }
        }
        do throws(LMDBFailure) {
            return try ReadTransaction(environment)
        } catch {
            guard error.isReadersFull else { throw error }
            environment.clearDeadReaders()
            return try ReadTransaction(environment)
        }
    }

    private func giveBack(_ transaction: ReadTransaction) {
        transaction.end()
        let kept = lock.withLock {
            guard environment != nil, idle.count < Self.maximumIdle else { return false }
            idle.append(transaction)
            return true
        }
        if !kept { transaction.close() }
        leave()
    }

    private func leave() {
        let last = lock.withLock {
            active -= 1
            return active == 0 && environment == nil
        }
        if last { drained.unlock(afterLockingWith: true) }
    }

    /// Refuses new reads, waits for those that are under way (each is short), after which the environment may be
    /// closed.
    func close() {
        let busy = lock.withLock {
            environment = nil
            for transaction in idle { transaction.close() }
            idle.removeAll()
            return active > 0
        }
        if busy {
            drained.lock(whenValue: true)
            drained.unlock()
        }
    }
}

extension ConditionLock {
    fileprivate func unlock(afterLockingWith value: T) {
        lock()
        unlock(withValue: value)
    }
}
