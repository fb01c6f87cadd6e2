internal import CacheCore
internal import CacheFiles
internal import NIOConcurrencyHelpers
internal import NIOPosix

/// Threads for `mount(2)` and `umount2(2)`, which block for as long as a device does not answer. They see the files of
/// the namespace that mounts are made in, and do nothing else.
///
/// They share no open file with the process (``DescriptorTable/leave(keeping:)``): what waits for the process's end
/// does not wait for them.
final class MountThreads: Sendable {
    /// Mounts that may hang before others have to wait.
    private static let count = 8

    private enum Fate {
        case open
        case done
        case abandoned
    }

    private let pool = NIOThreadPool(numberOfThreads: count)
    private let namespace: MountNamespace
    private let deadlines: Deadlines
    private let deadline: Duration

    init(in namespace: MountNamespace, deadlines: Deadlines, deadline: Duration) {
        self.namespace = namespace
        self.deadlines = deadlines
        self.deadline = deadline
        pool.start()
    }

    /// - Parameters:
    ///   - what: for the error when the deadline has passed.
    ///   - undo: takes back what `calls` did, where that came too late for its caller.
    func run<Value: Sendable>(
        _ what: String, undo: @escaping @Sendable () -> Void = {}, _ calls: @escaping @Sendable () throws -> Value
    ) async throws -> Value {
        let fate = NIOLockedValueBox(Fate.open)
        do {
            return try await deadlines.run(deadline, what) { [pool, namespace] in
                try await pool.runIfActive {
                    try namespace.enterAlone()
                    let value = try calls()
                    let isWanted = fate.withLockedValue { fate in
                        if case .abandoned = fate { return false }
                        fate = .done
                        return true
                    }
                    if !isWanted { undo() }
                    return value
                }
            }
        } catch {
            let isDone = fate.withLockedValue { fate in
                if case .done = fate { return true }
                fate = .abandoned
                return false
            }
            // Between the deadline and the end of the calls.
            if isDone {
                try? await pool.runIfActive { [namespace] in
                    try namespace.enterAlone()
                    undo()
                }
            }
            throw error
        }
    }

    /// Lets the threads end, and waits for none that hangs.
    func close() { pool.shutdownGracefully { _ in } }
}
