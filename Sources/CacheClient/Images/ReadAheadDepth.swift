internal import Synchronization

/// How many chunks of a stream are under way at once; may change meanwhile.
final class ReadAheadDepth: Sendable {
    private let value: Atomic<Int>

    init(_ chunks: Int) { value = Atomic(chunks) }

    var chunks: Int { value.load(ordering: .relaxed) }
    func set(_ chunks: Int) { value.store(chunks, ordering: .relaxed) }
}
