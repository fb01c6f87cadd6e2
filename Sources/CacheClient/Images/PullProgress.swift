internal import Synchronization

/// How far a pull is; counts up while it runs. Safe to read from any thread.
public final class PullProgress: Sendable {
    private let written = Atomic<Int>(0)

    /// A pull that has not begun.
    public init() {}

    /// Bytes of layers written so far.
    public var bytesWritten: Int { written.load(ordering: .relaxed) }

    func add(_ bytes: Int) { written.add(bytes, ordering: .relaxed) }
}
