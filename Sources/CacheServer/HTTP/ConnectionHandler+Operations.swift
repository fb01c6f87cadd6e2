internal import CacheChunks
internal import CacheCrypto
internal import NIOCore
internal import NIOHTTP1

/// What each kind of request does once it is complete.
extension ConnectionHandler {
    typealias Action = ConnectionStateMachine.Action

    /// Carries out a request: when its end has come, and again when it had to wait for the budget.
    func perform(_ operation: RequestPlan.Operation) -> Action? {
        switch operation {
        case .get(let id): return get(id)
        case .head(let id): return head(id)
        case .put(let id): put(id)
        case .missing: return missing()
        case .damaged(let id): return examine(id)
        case .giveUp(let id): return giveUpLease(id)
        case .checkLease(let id): return checkLease(id)
        case .control(let path): control(path)
        case .page: return respond(PageResponse.head(.ok), PageResponse.content)
        case .refuse(let refusal): return refuse(refusal)
        }
        return nil
    }

    /// What became of a request that needs a part of the budget.
    enum Reserving {
        case done
        /// It stands in line now: it is performed again once it has its part.
        case inLine
        case refused(Refusal)
    }

    /// Reserves for the request unless it has done so.
    /// - Parameter most: what it waits for if `bytes` are not left.
    func reserve(_ bytes: Int, orWaitFor most: Int? = nil) -> Reserving {
        guard let purpose = machine.missingReservation else { return .done }
        let wanted = InFlightBudget.Reservation(bytes: bytes, purpose: purpose)
        if group.reserve(wanted) {
            machine.reserved(wanted)
            return .done
        }
        guard group.expectedWait(for: purpose) <= TimeAmount(group.limits.timeouts.wait) else {
            return .refused(.longLine)
        }
        group.enqueue(self, InFlightBudget.Reservation(bytes: most ?? bytes, purpose: purpose))
        machine.queued(at: group.now)
        return .inLine
    }

    /// Goes on with `body` once the request has its part of the budget.
    private func reserving(_ bytes: Int, orWaitFor most: Int? = nil, _ body: () -> Action?) -> Action? {
        switch reserve(bytes, orWaitFor: most) {
        case .done: body()
        case .inLine: nil
        case .refused(let refusal): refuse(refusal)
        }
    }

    func get(_ id: ChunkID) -> Action? {
        if let chunk = group.tiers.memory.chunk(id) {
            // The wait, if there is one, is for any size: by its end the chunk may have left the memory.
            return reserving(chunk.readableBytes, orWaitFor: group.limits.largestBody) {
                group.metrics.reads.memoryHits += 1
                machine.request?.isFromMemory = true
                return respond(.chunk(length: chunk.readableBytes), chunk)
            }
        }
        return reserving(group.limits.largestBody) {
            machine.workStarted()
            group.read(id, for: self)
            return nil
        }
    }

    /// The chunk that this connection waits for has been read, or not.
    func completeRead(_ id: ChunkID, _ result: Result<ChunkTiers.Found, any Error>) {
        answer(result) { found in
            switch found {
            case .chunk(let chunk):
                if let surplus = machine.shrinkReservation(to: chunk.readableBytes) { group.shrink(surplus) }
                group.metrics.reads.diskHits += 1
                return respond(.chunk(length: chunk.readableBytes), chunk)
            case .miss:
                return missed(id, damaged: false)
            case .damaged:
                group.metrics.reads.damaged += 1
                return missed(id, damaged: true)
            }
        }
    }

    private func head(_ id: ChunkID) -> Action? {
        if let chunk = group.tiers.memory.chunk(id) {
            group.metrics.reads.memoryHits += 1
            return respond(.chunk(length: chunk.readableBytes), ByteBuffer())
        }
        return reserving(0) {
            machine.workStarted()
            group.tiers.length(of: id, on: group.eventLoop).assumeIsolated().whenComplete { [self] result in
                answer(result) { length in
                    guard let length else { return respondMiss(damaged: false) }
                    group.metrics.reads.diskHits += 1
                    return respond(.chunk(length: length), ByteBuffer())
                }
            }
            return nil
        }
    }

    private func put(_ id: ChunkID) {
        machine.workStarted()
        let chunk = machine.takeBody()
        let group = NIOLoopBound(group, eventLoop: group.eventLoop)
        let put = group.value.tiers.put(id, chunk, on: group.eventLoop) {
            // Who waits for it need not wait for the disk.
            group.eventLoop.execute { group.value.filled(id) }
        }
        put.assumeIsolated().whenComplete { [self] result in
            settleLease(id, result)
            answer(result, writing: true, respondTaken)
        }
    }

    private func respondTaken(_ taken: ChunkTiers.Taken) -> Action? {
        switch taken {
        case .stored:
            group.metrics.puts.stored += 1
            return respondLine(.created, "stored")
        case .alreadyPresent:
            group.metrics.puts.alreadyPresent += 1
            return respondLine(.ok, "already here")
        case .notThatChunk:
            group.metrics.puts.refused += 1
            return refuse(
                Refusal(
                    status: .unprocessableEntity, message: "the body is not the chunk of that id: nothing is stored"))
        }
    }

    private func missing() -> Action? {
        guard machine.body.readableBytes % SHA256Digest.byteCount == 0 else {
            return refuse(
                .badRequest("the body is no list of ids: its length is not a multiple of \(SHA256Digest.byteCount)"))
        }
        return reserving(0) {
            machine.workStarted()
            let ids = machine.takeBody()
            group.metrics.requests.idsAsked += ids.readableBytes / SHA256Digest.byteCount
            group.tiers.missing(ids, on: group.eventLoop).assumeIsolated().whenComplete { [self] result in
                answer(result) { bits in respond(.chunk(length: bits.readableBytes), bits) }
            }
            return nil
        }
    }

    /// A client reports damaged bytes: the copies here are looked at.
    private func examine(_ id: ChunkID) -> Action? {
        reserving(0) {
            machine.workStarted()
            let verdict = group.services.reports.report(id, at: group.now, on: group.eventLoop)
            verdict.assumeIsolated().whenComplete { [self] result in
                answer(result) { verdict in
                    switch verdict {
                    case .dropped: respondLine(.ok, "dropped: it was damaged")
                    case .sound: respondLine(.conflict, "nothing is dropped: the bytes here are right")
                    case .absent: respondLine(.notFound, "no such chunk here")
                    case .refused: refuse(.tooManyReports)
                    }
                }
            }
            return nil
        }
    }

    private func control(_ path: String) {
        machine.reserved(group.reserveUnconditionally())
        machine.workStarted()
        let response = group.eventLoop.makeFutureWithTask { [control = group.control] in
            await control.respond(to: path)
        }
        response.assumeIsolated().whenComplete { [self] result in
            answer(result) { response in respond(response.head, response.content) }
        }
    }

    /// Answers the request with what the work for it has brought. If the client is gone meanwhile, only the budget is
    /// returned.
    /// - Parameter writing: whether the work was to store a chunk, so that a failure of the disk means that it is full.
    private func answer<Value>(
        _ result: Result<Value, any Error>, writing: Bool = false, _ respond: (Value) -> Action?
    ) {
        guard machine.awaitsAnswer else {
            if let reservation = machine.takeReservation() { group.release(reservation) }
            return
        }
        switch result {
        case .success(let value): run(respond(value))
        case .failure(let error):
            if writing { group.metrics.puts.refused += 1 }
            group.report(error)
            run(refuse(Refusal(error, writing: writing)))
        }
    }

    func respondMiss(damaged: Bool, lease: LeaseToken? = nil) -> Action? {
        group.metrics.reads.misses += 1
        let line = ByteBuffer(string: "no such chunk here\n")
        var head = ResponseHead.text(.notFound, length: line.readableBytes)
        // Tells the client that its refill repairs this tier, so that it can count it.
        if damaged { head.fields.append(("Layercache-Repair", "1")) }
        if let lease { head.fields.append(("Layercache-Lease", lease.text)) }
        return respond(head, line)
    }

    func respondLine(_ status: HTTPResponseStatus, _ line: String) -> Action? {
        let content = ByteBuffer(string: line + "\n")
        return respond(.text(status, length: content.readableBytes), content)
    }
}
