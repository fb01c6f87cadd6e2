internal import Synchronization

/// How far a push is; counts up while it runs. Safe to read from any thread.
public final class PushProgress: Sendable {
    private let read = Atomic<Int>(0)
    private let uploaded = Atomic<Int>(0)

    public init() {}

    /// Bytes of layers read so far, uncompressed, known layers included.
    public var bytesRead: Int { read.load(ordering: .relaxed) }
    /// Sealed bytes brought to L3 so far.
    public var bytesUploaded: Int { uploaded.load(ordering: .relaxed) }

    func add(read bytes: Int) { read.add(bytes, ordering: .relaxed) }
    func add(uploaded bytes: Int) { uploaded.add(bytes, ordering: .relaxed) }
}
