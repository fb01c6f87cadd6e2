internal import CacheCore
internal import NIOConcurrencyHelpers
internal import NIOCore
internal import NIOHTTP1

/// What brings L2 the chunks of an image before anybody reads them.
extension L2Client {
    /// So many ids go into one request: `POST /v1/chunks/missing` takes more.
    private static let idsAtOnce = 4096

    /// Where readers will look for each of the chunks: the daemon of each, or the next in order that answers.
    /// - Parameter away: daemons that have not answered.
    func places(of ids: [ChunkID], without away: Set<Int>) -> [(node: L2Node, ids: [ChunkID])] {
        let ring = members.ring
        var places: [Int: [ChunkID]] = [:]
        for id in ids {
            let order = Rendezvous.order(of: id, among: ring.names)
            let first = order.first { !away.contains(ring.nodes[$0.index].number) }
            if let first { places[first.index, default: []].append(id) }
        }
        return places.sorted { $0.key < $1.key }.map { (ring.nodes[$0.key], $0.value) }
    }

    /// Which of the chunks a daemon has not.
    /// - Throws: what the network, or the daemon, fails with.
    func missing(_ ids: [ChunkID], at node: L2Node) async throws -> Set<ChunkID> {
        var missing: Set<ChunkID> = []
        var rest = ids[...]
        while !rest.isEmpty {
            let part = rest.prefix(Self.idsAtOnce)
            rest = rest.dropFirst(part.count)
            var body = ByteBuffer()
            for id in part { id.digest.withUnsafeBytes { _ = body.writeBytes($0) } }
            let length = (part.count + 7) / 8
            let request = L2Request(
                method: .POST, path: "/v1/chunks/missing", body: body, limit: max(length, Self.lineBytes))
            let response = try await node.connections.exchange(request, for: .fill, within: deadline)
            guard response.head.status == .ok, response.body.readableBytes == length else {
                throw CacheError(.io, "it answered \(response.head.status.code) when asked what it has")
            }
            let bits = response.body.readableBytesView
            for (number, id) in part.enumerated() {
                let byte = bits[bits.startIndex + number / 8]
                if byte & (1 << UInt8(number % 8)) != 0 { missing.insert(id) }
            }
        }
        return missing
    }
}
