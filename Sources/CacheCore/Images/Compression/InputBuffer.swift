internal import CacheFiles

/// The compressed bytes that a decompressor works through: a fixed buffer that is filled again from its source when it
/// is used up.
struct InputBuffer: ~Copyable {
    private let storage: UnsafeMutableRawBufferPointer
    private let source: any ByteSource
    private var start = 0
    private var end = 0
    /// The source has nothing more; what is left here is all there is.
    private(set) var sourceEnded = false

    init(_ source: any ByteSource, capacity: Int = 256 << 10) {
        self.source = source
        storage = .allocate(byteCount: capacity, alignment: 64)
    }

    deinit { storage.deallocate() }

    /// What has not been used yet.
    var available: UnsafeRawBufferPointer { UnsafeRawBufferPointer(rebasing: storage[start..<end]) }

    var isFull: Bool { end - start == storage.count }

    mutating func consume(_ count: Int) {
        precondition(count >= 0 && count <= end - start)
        start += count
    }

    /// Reads more behind what is left; `false` when the source has ended.
    mutating func refill() throws -> Bool {
        guard !sourceEnded else { return false }
        if start > 0 {
            let rest = end - start
            if rest > 0 { storage.copyMemory(from: available) }
            start = 0
            end = rest
        }
        precondition(end < storage.count, "refilled while full")
        let count = try source.read(into: UnsafeMutableRawBufferPointer(rebasing: storage[end...]))
        end += count
        sourceEnded = count == 0
        return count > 0
    }
}
