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
            return take(l1.getAtOnce(request.ref), request, since: began)
        }
    }

    /// As ``fromL1AtOnce(_:)`` for two chunks, which takes less time than one after the other.
    ///
    /// - Parameter landed: gets what came of each, as soon as that is there; is not called for one that another thread
    ///   is reading already.
    func fromL1AtOnce(
        _ first: ChunkRequest, _ second: ChunkRequest, _ landed: (ChunkRequest, ByteBuffer?) -> Void
    ) {
        var begun: [(request: ChunkRequest, end: (ByteBuffer?) -> Void)] = []
        func land(_ index: Int, _ bytes: ByteBuffer?) {
            begun[index].end(bytes)
            landed(begun[index].request, bytes)
        }
        for request in [first, second] {
            if l1 == nil || flights.all.isUnderWay(request.key) {
                landed(request, nil)
            } else if let end = flights.atOnce.begin(request.key) {
                if let bytes = inMemory(request.ref, isRepeated: true) {
                    end(bytes)
                    landed(request, bytes)
                } else {
                    begun.append((request, end))
                }
            }
        }
        guard let l1 else { return }
        let began = deadlines.time.now()
        if begun.count == 2 {
            l1.getAtOnce(begun[0].request.ref, begun[1].request.ref) { isSecond, answer in
                let index = isSecond ? 1 : 0
                land(index, take(answer, begun[index].request, since: began))
            }
        } else if begun.count == 1 {
            land(0, take(l1.getAtOnce(begun[0].request.ref), begun[0].request, since: began))
        }
    }

    /// What an answer of L1 has brought.
    private func take(_ answer: TierAnswer, _ request: ChunkRequest, since began: Duration) -> ByteBuffer? {
        switch answer {
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
