internal import CacheChunks
internal import CacheCrypto
internal import NIOCore
internal import NIOHTTP1

/// What each kind of request does once it is complete.
extension ConnectionHandler {
    /// Carries out the request whose end has come, or goes on with it once there is room.
    func perform() {
        guard let plan else { return }
        switch plan.operation {
        case .get(let id): get(id)
        case .head(let id): head(id)
        case .put(let id): put(id)
        case .missing: missing()
        case .control(let path): control(path)
        case .refuse(let refusal): refuse(refusal)
        }
    }

    private func get(_ id: ChunkID) {
        if let chunk = lane.tiers.memory.chunk(id) {
            // The wait, if there is one, is for any size: by its end the chunk may have left the memory.
            guard takeRoom(chunk.readableBytes, orInLineFor: lane.limits.largestBody) else { return }
            lane.metrics.memoryHits += 1
            respond(.chunk(length: chunk.readableBytes), chunk)
        } else {
            guard takeRoom(lane.limits.largestBody) else { return }
            phase = .working
            lane.read(id, for: self)
        }
    }

    func completeRead(_ result: Result<ChunkTiers.Found, any Error>) {
        guard phase == .working else { return giveRoom() }
        switch result {
        case .success(.chunk(let chunk)):
            shrinkRoom(to: chunk.readableBytes)
            lane.metrics.diskHits += 1
            respond(.chunk(length: chunk.readableBytes), chunk)
        case .success(.miss):
            // A lease, when there are leases, is granted or waited for here.
            respondMiss(damaged: false)
        case .success(.damaged):
            lane.metrics.damaged += 1
            respondMiss(damaged: true)
        case .failure(let error):
            fail(error, writing: false)
        }
    }

    private func head(_ id: ChunkID) {
        if let chunk = lane.tiers.memory.chunk(id) {
            lane.metrics.memoryHits += 1
            respond(.chunk(length: chunk.readableBytes), ByteBuffer())
            return
        }
        guard takeRoom(0) else { return }
        phase = .working
        lane.tiers.length(of: id, on: lane.eventLoop).assumeIsolated().whenComplete { [self] result in
            guard phase == .working else { return giveRoom() }
            switch result {
            case .success(let length?):
                lane.metrics.diskHits += 1
                respond(.chunk(length: length), ByteBuffer())
            case .success(nil): respondMiss(damaged: false)
            case .failure(let error): fail(error, writing: false)
            }
        }
    }

    private func put(_ id: ChunkID) {
        phase = .working
        let chunk = takeBody()
        lane.tiers.put(id, chunk, on: lane.eventLoop).assumeIsolated().whenComplete { [self] result in
            guard phase == .working else { return giveRoom() }
            switch result {
            case .success(.stored):
                lane.metrics.stored += 1
                respondLine(.created, "stored")
            case .success(.alreadyPresent):
                lane.metrics.alreadyPresent += 1
                respondLine(.ok, "already here")
            case .success(.notThatChunk):
                lane.metrics.refusedPuts += 1
                refuse(
                    Refusal(
                        status: .unprocessableEntity, message: "the body is not the chunk of that id: nothing is stored"
                    ))
            case .failure(let error):
                lane.metrics.refusedPuts += 1
                fail(error, writing: true)
            }
        }
    }

    private func missing() {
        guard body.readableBytes % SHA256Digest.byteCount == 0 else {
            return refuse(
                .badRequest("the body is no list of ids: its length is not a multiple of \(SHA256Digest.byteCount)"))
        }
        guard takeRoom(0) else { return }
        phase = .working
        let ids = takeBody()
        lane.metrics.idsAsked += ids.readableBytes / SHA256Digest.byteCount
        lane.tiers.missing(ids, on: lane.eventLoop).assumeIsolated().whenComplete { [self] result in
            guard phase == .working else { return giveRoom() }
            switch result {
            case .success(let bits): respond(.chunk(length: bits.readableBytes), bits)
            case .failure(let error): fail(error, writing: false)
            }
        }
    }

    private func control(_ path: String) {
        enterWithoutLine()
        phase = .working
        let answer = lane.eventLoop.makeFutureWithTask { [control = lane.control] in
            await control.respond(to: path)
        }
        answer.assumeIsolated().whenComplete { [self] result in
            guard phase == .working else { return giveRoom() }
            switch result {
            case .success(let response): respond(response.head, response.content)
            case .failure(let error): fail(error, writing: false)
            }
        }
    }

    private func takeBody() -> ByteBuffer {
        defer { body = ByteBuffer() }
        return body
    }

    private func respondMiss(damaged: Bool) {
        lane.metrics.misses += 1
        let line = ByteBuffer(string: "no such chunk here\n")
        var head = ResponseHead.text(.notFound, length: line.readableBytes)
        // Tells the client that its refill repairs this tier, so that it can count it.
        if damaged { head.fields.append(("Layercache-Repair", "1")) }
        respond(head, line)
    }

    private func respondLine(_ status: HTTPResponseStatus, _ line: String) {
        let content = ByteBuffer(string: line + "\n")
        respond(.text(status, length: content.readableBytes), content)
    }

    private func fail(_ error: any Error, writing: Bool) {
        lane.report(error)
        refuse(Refusal(error, writing: writing))
    }
}
