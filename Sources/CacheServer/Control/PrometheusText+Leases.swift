internal import CacheBase

extension PrometheusText {
    mutating func leases(_ leases: ServerStatistics.Leases) {
        gauge("layercache_leases", "Leases that are out.", leases.open)
        gauge("layercache_lease_waiters", "Requests that stand in line for a fill.", leases.waiting)
        counter("layercache_leases_given_total", "Leases given to those who missed a chunk.", leases.given)
        counter(
            "layercache_leases_ended_total", "Leases that ended without a fill, by reason.", label: "reason",
            [("expired", leases.expired), ("given_up", leases.givenUp)])
        counter(
            "layercache_lease_waits_total", "Requests that stood in line for a fill, by outcome.", label: "outcome",
            [("filled", leases.waitsFilled), ("leased", leases.waitsLeased), ("in_vain", leases.waitsInVain)])
        counter(
            "layercache_leases_refused_total", "Misses beyond the bounds of leases: no lease, no place in line.",
            leases.refused)
    }
}
