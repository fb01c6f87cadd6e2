internal import CLMDB
internal import CacheFiles
internal import NIOConcurrencyHelpers

/// LMDB's assertion callback, which keeps a failed assertion from ending the process. LMDB asserts that its pages agree
/// with each other in the middle of a change.
///
/// LMDB calls `abort` as soon as the callback returns, so it never returns: it aborts the transaction, which releases
/// the write lock for other processes, tells the store's session, and parks the thread for good. That costs one stack.
/// The environment can be closed, since that thread never touches it again.
final class AssertionTrap: Sendable {
    private struct State {
        /// The write transaction under way, as an address.
        var transaction: UInt?
        var isSprung = false
        var onSpring: (@Sendable (String) -> Void)?
    }

    private let state = NIOLockedValueBox(State())

    var isSprung: Bool { state.withLockedValue { $0.isSprung } }

    func whenSprung(_ body: @escaping @Sendable (String) -> Void) {
        state.withLockedValue { $0.onSpring = body }
    }

    /// Notes the write transaction that is under way, or that none is.
    func arm(_ transaction: OpaquePointer?) {
        state.withLockedValue { $0.transaction = transaction.map { UInt(bitPattern: $0) } }
    }

    /// Sets the trap for an environment that is not open yet; it stays until ``release(_:)``.
    func set(_ environment: OpaquePointer) {
        mdb_env_set_userctx(environment, Unmanaged.passRetained(self).toOpaque())
        mdb_env_set_assert(environment) { environment, message in
            guard let context = mdb_env_get_userctx(environment) else { return }
            let reason = message.map { String(cString: $0) } ?? "assertion failed"
            Unmanaged<AssertionTrap>.fromOpaque(context).takeUnretainedValue().spring(reason)
        }
    }

    /// To be called before the environment is closed. A trap that was sprung is still in use by the thread in it.
    func release(_ environment: OpaquePointer) {
        guard !isSprung, let context = mdb_env_get_userctx(environment) else { return }
        Unmanaged<AssertionTrap>.fromOpaque(context).release()
    }

    private func spring(_ reason: String) -> Never {
        let (transaction, onSpring) = state.withLockedValue { state in
            state.isSprung = true
            return (state.transaction.take(), state.onSpring)
        }
        if let transaction, let handle = OpaquePointer(bitPattern: transaction) { mdb_txn_abort(handle) }
        onSpring?(reason)
        CurrentProcess.parkThread()
    }
}
