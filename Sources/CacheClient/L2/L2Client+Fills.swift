internal import CacheCore
internal import Logging
internal import NIOCore
internal import NIOHTTP1

extension L2Client: FillTarget {
    /// A daemon may refuse a chunk: one whose disk is full still serves what it has.
    func put(_ id: ChunkID, _ sealed: ByteBuffer, _ gap: TierGap) async throws {
        if await gap.report?.value == .sound { return }
        guard let node = gap.place.flatMap({ members.node($0) }) ?? filled(id) else { return }
        _ = try await put(id, sealed, into: node, gap.lease)
    }

    /// Whether the daemon has the chunk now, and else why not; `nil` if it is left alone.
    func put(
        _ id: ChunkID, _ sealed: ByteBuffer, into node: L2Node, _ lease: FillLease?
    ) async throws -> Result<Void, any Error>? {
        if node.fills.admit() == .no { return nil }
        let request = L2Request(
            method: .PUT, path: "/v1/chunks/\(id.hex)",
            fields: [worker] + (lease.map { [(Self.leaseField, $0.token)] } ?? []),
            body: sealed, isUrgent: lease != nil, limit: Self.lineBytes)
        let end = try await node.fills.call {
            // Refusals are errors.
            try await node.connections.exchange(request, for: .fill, within: deadline).head
        }
        switch end {
        case .success(let head) where head.status == .created || head.status == .ok:
            lease?.settle()
            return .success(())
        case .success(let head):
            logger.debug("L2 refused a chunk", metadata: ["chunk": "\(id)", "status": "\(head.status.code)"])
            // It will not take the next one either.
            if L2Overload.pause(head) != nil { node.fills.open() }
            return .failure(CacheError(.io, "L2 answered \(head.status.code)"))
        case .failure(let error):
            note(error, id, node, isFill: true)
            if error is L2Refusal { node.fills.open() }
            return .failure(error)
        }
    }

    /// Each daemon has its part of what a wait may cost; that of waits for others' fills is all of theirs.
    func waitForFill(isLeased: Bool) -> Duration {
        ofAll(isLeased) { $0.waitForFill(isLeased: $1) }
    }

    func waitForEnd(isLeased: Bool) -> Duration {
        ofAll(isLeased) { $0.waitForEnd(isLeased: $1) }
    }

    private func ofAll(_ isLeased: Bool, _ wait: (L2Budget, _ isLeased: Bool) -> Duration) -> Duration {
        let budgets = members.all.map(\.budget)
        let parts = budgets.reduce(.zero) { $0 + wait($1, false) }
        return isLeased ? max(parts, budgets.map { wait($0, true) }.max() ?? .zero) : parts
    }

    func waitedForFill(_ duration: Duration, readers: Int, isLeased: Bool) {
        let nodes = members.all
        for node in nodes {
            node.budget.waitedForFill(duration / nodes.count, readers: readers, isLeased: isLeased)
        }
    }
}
