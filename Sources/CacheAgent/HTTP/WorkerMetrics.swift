package import CacheClient
internal import CacheCore

/// The numbers of a worker for Prometheus.
package enum WorkerMetrics {
    package static func text(_ cache: LayerCache, _ status: WorkerStatus) -> String {
        var out = PrometheusText()
        out.gauge("layercache_worker_mounts", "Directories that show images.", status.mounts.count)
        out.gauge("layercache_worker_devices", "Images that are open.", Set(status.mounts.map(\.manifest)).count)
        let counts = cache.counts
        out.counter(
            "layercache_worker_chunks_total", "Chunks that each tier delivered.", label: "tier",
            Tier.allCases.map { ($0.rawValue, counts[$0].chunks) })
        out.counter(
            "layercache_worker_bytes_total", "Bytes that each tier delivered, sealed but for memory.", label: "tier",
            Tier.allCases.map { ($0.rawValue, counts[$0].bytes) })
        out.counter(
            "layercache_worker_repaired_total", "Damaged chunks that were dropped.", label: "tier",
            [("l1", counts.repairedL1 + cache.l1Resets), ("l2", counts.repairedL2)])
        out.counter(
            "layercache_worker_failures_total", "Calls that a tier failed or was too slow for.", label: "tier",
            [("l1", counts.l1Failures), ("l2", counts.l2Failures)])
        let times = cache.readTimes
        out.histogram(
            "layercache_worker_read_seconds", "Time that readers waited for a chunk that memory did not have.",
            bounds: ReadTimes.bounds,
            [("l1", times.l1), ("l2", times.l2), ("l3", times.l3)].map {
                (labels: "tier=\"\($0)\"", counts: $1.counts, sum: $1.seconds)
            })
        let dropped = cache.droppedFills
        out.counter(
            "layercache_worker_dropped_fills_total", "Fills that a tier did not take in time.", label: "tier",
            [("l1", dropped.l1), ("l2", dropped.l2)])
        let memory = cache.memoryUsage
        out.gauge("layercache_worker_memory_chunks", "Decoded chunks in memory.", memory.chunks)
        out.gauge("layercache_worker_memory_bytes", "Bytes of decoded chunks in memory.", memory.bytes)
        if let l1 = cache.l1Statistics {
            out.gauge("layercache_worker_l1_bytes", "Bytes of L1 on disk.", Int(clamping: l1.bytesUsed))
            out.gauge("layercache_worker_l1_capacity_bytes", "Most bytes of L1.", Int(clamping: l1.capacity))
        }
        if let ring = cache.l2Statistics { add(ring, to: &out) }
        return out.text
    }

    private static func add(_ ring: L2RingStatistics, to out: inout PrometheusText) {
        out.counter("layercache_worker_l2_reads_total", "Reads that L2 was asked for.", ring.reads)
        out.counter(
            "layercache_worker_l2_hedges_total", "Reads for which a second node was asked because one was late.",
            ring.hedges)
        out.counter(
            "layercache_worker_l2_retries_total", "Reads for which another node was asked because one had failed.",
            ring.retries)
        let numbers: [(name: String, help: String, value: KeyPath<L2NodeStatistics, Int>)] = [
            ("requests", "Requests to each node of L2.", \.requests), ("hits", "Chunks that a node had.", \.hits),
            ("misses", "Chunks that a node had not.", \.misses),
            ("bytes", "Sealed bytes that a node answered.", \.bytes),
            ("errors", "Requests that a node failed.", \.errors), ("sheds", "Requests that a node shed.", \.sheds),
            ("hedged", "Requests to a node that were late.", \.hedges),
            ("hedges_won", "Those that another node answered first.", \.hedgesWon),
            ("passed_over", "Reads that went on to the next node because this one was left out.", \.passedOver),
            ("ejections", "Times that a node was left out because it was later than the others.", \.ejections),
        ]
        for (name, help, value) in numbers {
            out.counter(
                "layercache_worker_l2_node_\(name)_total", help, label: "node",
                ring.nodes.map { ($0.node, $0[keyPath: value]) })
        }
        out.family("layercache_worker_l2_node_trusted", "gauge", "1: asked first; 0: left out, or warming up.")
        for node in ring.nodes {
            out.sample("layercache_worker_l2_node_trusted", "{node=\"\(node.node)\"}", node.state == "trusted" ? 1 : 0)
        }
        out.family("layercache_worker_l2_node_p95_seconds", "gauge", "Time of 95 of 100 of a node's latest hits.")
        for node in ring.nodes {
            out.sample("layercache_worker_l2_node_p95_seconds", "{node=\"\(node.node)\"}", node.p95Seconds)
        }
    }
}
