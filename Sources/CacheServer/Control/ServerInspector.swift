internal import CacheAccess
internal import CacheBase
internal import CacheStore
internal import FoundationEssentials
internal import NIOConcurrencyHelpers
internal import NIOCore
internal import Synchronization

/// Reads the state of the running daemon for the control plane. Each read sums the counters of all event loops anew;
/// none is kept.
final class ServerInspector: Sendable {
    private let configuration: ServerConfiguration
    private let state: ServerState
    private let access: ServerAccess
    private let tiers: ChunkTiers
    private let leases: LeaseBook
    private let time: ServerTime
    private let started: NIODeadline
    private let droppedLogLines: @Sendable () -> Int
    private let metrics: MetricsRegistry

    init(
        configuration: ServerConfiguration, state: ServerState, access: ServerAccess, tiers: ChunkTiers,
        leases: LeaseBook, metrics: MetricsRegistry, time: ServerTime, droppedLogLines: @escaping @Sendable () -> Int
    ) {
        self.access = access
        self.time = time
        started = time.now()
        self.droppedLogLines = droppedLogLines
        self.configuration = configuration
        self.state = state
        self.tiers = tiers
        self.leases = leases
        self.metrics = metrics
    }

    var isReady: Bool { state.isReady.load(ordering: .relaxed) && tiers.store.isServing && access.isUsable }

    func statistics() async throws -> ServerStatistics {
        let counted = try await metrics.sum()
        let memory = tiers.memory.usage
        let disk = tiers.store.statistics
        let leases = leases.withLockedValue { $0.usage }
        return ServerStatistics(
            uptimeSeconds: Double((time.now() - started).nanoseconds) / 1e9,
            memory: .init(
                chunks: memory.chunks, bytes: memory.bytes, capacity: configuration.memoryBytes,
                hits: counted.reads.memoryHits,
                evictions: memory.evictions),
            disk: .init(
                chunks: Int(disk.chunks), bytes: Int(disk.bytesUsed), capacity: Int(clamping: disk.capacity),
                hits: counted.reads.diskHits, evictions: Int(disk.evictions)),
            misses: counted.reads.misses, repairs: counted.reads.damaged,
            puts: .init(
                stored: counted.puts.stored, alreadyPresent: counted.puts.alreadyPresent,
                refused: counted.puts.refused),
            leases: .init(
                open: leases.leases, waiting: leases.waiters, given: leases.given, expired: leases.expired,
                givenUp: leases.givenUp, waits: leases.waits, waitsFilled: leases.waitsFilled,
                waitsLeased: leases.waitsLeased, waitsInVain: leases.waitsInVain, refused: leases.refused),
            requests: counted.totalResponses, refusals: counted.requests.refused, bytesIn: counted.requests.bytesIn,
            bytesOut: counted.requests.bytesOut, bytesInFlight: counted.present.bytesInFlight,
            connections: .init(
                open: counted.present.connections, accepted: counted.connections.accepted,
                refused: counted.connections.refused, timedOut: counted.connections.timedOut))
    }

    func prometheusText() async throws -> String {
        let counted = try await metrics.sum()
        let statistics = try await statistics()
        var out = PrometheusText()
        out.family("layercache_requests_total", "counter", "Responses by request method and status class.")
        for (row, method) in RequestMetrics.methods.enumerated() {
            for (column, status) in RequestMetrics.statusClasses.enumerated() {
                out.sample(
                    "layercache_requests_total", "{method=\"\(method)\",status=\"\(status)\"}",
                    counted.responses(method: row, statusClass: column))
            }
        }
        out.counter("layercache_received_bytes_total", "Bytes of request bodies.", counted.requests.bytesIn)
        out.counter("layercache_sent_bytes_total", "Bytes of response bodies.", counted.requests.bytesOut)
        out.counter(
            "layercache_chunk_hits_total", "Chunks asked for and found, by tier.", label: "tier",
            [("memory", counted.reads.memoryHits), ("disk", counted.reads.diskHits)])
        out.counter("layercache_chunk_misses_total", "Chunks asked for and found in no tier.", counted.reads.misses)
        out.counter(
            "layercache_chunk_repairs_total", "Damaged chunks found, dropped and announced.", counted.reads.damaged)
        out.counter(
            "layercache_chunk_puts_total", "Chunks put, by outcome.", label: "outcome",
            [
                ("stored", counted.puts.stored), ("present", counted.puts.alreadyPresent),
                ("refused", counted.puts.refused),
            ])
        out.leases(statistics.leases)
        out.counter("layercache_ids_asked_total", "Ids in requests for what is missing.", counted.requests.idsAsked)
        out.counter(
            "layercache_refusals_total", "Requests answered with a status of 500 or above.", counted.requests.refused)
        out.counter(
            "layercache_shed_total", "Requests and connections turned away for want of room, by reason.",
            label: "reason",
            zip(ShedReason.allCases, counted.shed).map { ($0.rawValue, $1) })
        out.counter("layercache_waits_total", "Requests that stood in line for room in flight.", counted.requests.waits)
        out.counter(
            "layercache_timeouts_total", "Connections and requests whose time was over.", counted.connections.timedOut)
        out.counter(
            "layercache_malformed_total", "Connections ended because what came was not HTTP.",
            counted.requests.malformed)
        out.counter(
            "layercache_denied_total", "Requests without a valid token, or with one of too small a scope.",
            label: "reason",
            [("unauthorized", counted.requests.unauthorized), ("forbidden", counted.requests.forbidden)])
        out.counter(
            "layercache_handshake_failures_total", "Connections whose handshake of TLS failed.",
            counted.connections.handshakesFailed)
        if let expires = access.identity?.expires {
            out.gauge(
                "layercache_certificate_expires_seconds", "When the daemon's certificate expires, since 1970.", expires)
        }
        out.counter(
            "layercache_vanished_total", "Connections that ended in the middle of a request.",
            counted.connections.vanished)
        out.counter(
            "layercache_evictions_total", "Chunks dropped to make room, by tier.", label: "tier",
            [("memory", statistics.memory.evictions), ("disk", statistics.disk.evictions)])
        out.gauge("layercache_store_chunks", "Chunks in the store.", statistics.disk.chunks)
        out.gauge("layercache_store_bytes", "Bytes that the store takes on disk.", statistics.disk.bytes)
        out.gauge("layercache_store_capacity_bytes", "Bytes that the store may take.", statistics.disk.capacity)
        out.counter(
            "layercache_store_reopened_total", "Times that the store was closed, checked and opened again.",
            Int(clamping: tiers.store.statistics.reopenings))
        out.gauge("layercache_memory_chunks", "Chunks in memory.", statistics.memory.chunks)
        out.gauge("layercache_memory_bytes", "Bytes of chunks in memory.", statistics.memory.bytes)
        out.gauge(
            "layercache_memory_capacity_bytes", "Bytes of chunks that memory may hold.", statistics.memory.capacity)
        out.gauge("layercache_connections", "Connections that are open.", counted.present.connections)
        out.counter("layercache_connections_total", "Connections accepted.", counted.connections.accepted)
        out.counter(
            "layercache_connections_refused_total", "Connections beyond the limit.", counted.connections.refused)
        out.counter(
            "layercache_connections_evicted_total", "Waiting connections that gave way to new ones.",
            counted.connections.evicted)
        out.gauge("layercache_in_flight_bytes", "Bytes of chunks held for requests.", counted.present.bytesInFlight)
        out.gauge(
            "layercache_in_flight_requests", "Requests that hold room in flight.", counted.present.requestsInFlight)
        out.counter(
            "layercache_log_dropped_total", "Lines of the log that nobody read in time.", droppedLogLines())
        out.histogram(
            "layercache_request_seconds", "Time of successful chunk requests, first byte in to last byte out.",
            [("GET", counted.getSeconds), ("PUT", counted.putSeconds)])
        return out.text
    }
}

extension ServerStatistics {
    func json() throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return String(decoding: try encoder.encode(self), as: UTF8.self) + "\n"
    }
}
