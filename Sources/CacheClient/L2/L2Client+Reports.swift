internal import CacheCore
internal import Logging
internal import NIOConcurrencyHelpers
internal import NIOCore
internal import NIOHTTP1

/// Reports of damaged bytes.
extension L2Client {
    /// Tells the daemon that it has sent bytes which are not what their name says, beside the reader, who goes to L3.
    /// The daemon looks at its own copy; what it says decides whether it counts as ill, and whether it is filled.
    func report(_ id: ChunkID, _ attempt: L2Attempt) -> Task<DamageVerdict, Never> {
        Task { [self] in
            let verdict = await verdict(on: id, of: attempt.node)
            // One that owns up to damage of its disk is as good as one that misses.
            if verdict != .dropped { attempt.node.state.withLockedValue { $0.health.wasWrong(now: time.now()) } }
            if verdict == .sound { tellOfTheWay(id, attempt.node) }
            return verdict
        }
    }

    private func verdict(on id: ChunkID, of node: L2Node) async -> DamageVerdict {
        // A host that may not fill may not report either.
        if node.fills.admit() == .no { return .unknown }
        // A POST that says nothing of its length is taken for one with a body.
        let request = L2Request(
            method: .POST, path: "/v1/chunks/\(id.hex)/damaged", body: ByteBuffer(), isUrgent: true,
            limit: Self.lineBytes)
        let end = try? await node.fills.call {
            try await node.connections.exchange(request, for: .fill, within: deadline).head.status
        }
        switch end {
        case .success(.ok), .success(.notFound): return .dropped
        case .success(.conflict): return .sound
        // Too many reports at once, or a daemon of a version without them, which checks what it sends.
        case .success, nil: return .unknown
        case .failure(let error):
            note(error, id, node, isFill: true)
            if error is L2Refusal { node.fills.open() }
            return .unknown
        }
    }

    /// Something between the daemon and this host changes bytes: an operator wants to know, once for each daemon.
    private func tellOfTheWay(_ id: ChunkID, _ node: L2Node) {
        let line = "L2 sent damaged bytes of a chunk that is right there: see to the network and the memory between"
        guard node.notice.withLockedValue({ $0.told.insert(line).inserted }) else { return }
        logger.warning(
            "\(line)", metadata: ["node": "\(node.address)", "chunk": "\(id)"])
    }
}
