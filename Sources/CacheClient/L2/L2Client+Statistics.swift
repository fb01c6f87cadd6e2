internal import CacheCore
internal import NIOConcurrencyHelpers

extension L2Client {
    var statistics: L2RingStatistics {
        let now = time.now()
        let states = members.all.map { node in
            (
                "\(node.address)",
                node.state.withLockedValue { ($0.health.condition(now: now), $0.counts, $0.times.high) }
            )
        }
        let requests = states.reduce(0) { $0 + $1.1.1.requests }
        let extras = extras.withLockedValue { $0 }
        let nodes = states.map { address, state in
            let (condition, counts, high) = state
            return L2NodeStatistics(
                node: address, state: condition.rawValue,
                share: requests == 0 ? 0 : Double(counts.requests) / Double(requests),
                requests: counts.requests, hits: counts.hits, misses: counts.misses, bytes: counts.bytes,
                errors: counts.errors, sheds: counts.sheds, hedges: counts.hedges.sent, hedgesWon: counts.hedges.won,
                passedOver: counts.passedOver, ejections: counts.ejections,
                p95Seconds: (high ?? .zero) / .seconds(1))
        }
        return L2RingStatistics(nodes: nodes, reads: extras.reads, hedges: extras.hedges, retries: extras.retries)
    }
}
