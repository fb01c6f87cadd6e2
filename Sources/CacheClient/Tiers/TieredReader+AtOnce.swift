internal import CacheCore
internal import NIOCore

/// What can be answered on the calling thread, without a suspension.
extension TieredReader {
    /// The plaintext of a chunk that is not zero if it is in memory; counts nothing as delivered. Copies nothing.
    /// - Parameter isRepeated: whether it belongs to a read that eviction has counted.
    func inMemory(_ ref: ChunkRef, isRepeated: Bool) -> ByteBuffer? {
        isRepeated ? memory.peek(ref) : memory.get(ref)
    }

    /// The plaintext of a chunk out of L1, which stays in memory from then on if it is to be kept. Blocks for as long
    /// as a local disk takes.
    ///
    /// - Returns: `nil` if L1 has no right copy or does not answer, or if the chunk is on its way already: then
    ///   ``chunk(_:)`` is the way.
    func fromL1AtOnce(_ request: ChunkRequest) -> ByteBuffer? {
        guard let l1, !flights.all.isUnderWay(request.key) else { return nil }
        return flights.atOnce.join(request.key) {
            // Another thread may have landed between the look at memory and this one.
            if let bytes = inMemory(request.ref, isRepeated: true) { return bytes }
            let began = deadlines.time.now()
            switch l1.getAtOnce(request.ref) {
            case .hit(let bytes):
                request.counter.delivered(by: .l1, bytes: Int(request.ref.sealedLength))
                note(request, .l1, since: began)
                if request.use == .kept { memory.insert(request.ref, bytes) }
                return bytes
            case .miss(let dropped):
                if dropped { request.counter.repaired(.l1) }
                return nil
            case .unavailable:
                return nil
            }
        }
    }
}
