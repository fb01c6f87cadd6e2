internal import CacheBase

extension PrometheusText {
    mutating func repairs(_ statistics: ServerStatistics, byReads: Int) {
        let (reports, scrub) = (statistics.reports, statistics.scrub)
        counter(
            "layercache_chunk_repairs_total", "Damaged chunks found and dropped, by who found them.", label: "by",
            [("read", byReads), ("report", reports.dropped), ("scrub", scrub.damaged)])
        counter("layercache_damage_reports_total", "Reports of damaged bytes by clients.", reports.received)
        counter(
            "layercache_damage_reports_unfounded_total", "Looks after a report that found the right bytes.",
            reports.sound)
        counter(
            "layercache_damage_reports_refused_total", "Reports that nobody looked at, because there were too many.",
            reports.refused)
        counter("layercache_scrub_bytes_total", "Bytes that the scrub has read and checked.", scrub.bytes)
        counter("layercache_scrub_chunks_total", "Chunks that the scrub has checked.", scrub.chunks)
        counter("layercache_scrub_passes_total", "Passes of the scrub through all chunks.", scrub.passes)
        gauge("layercache_scrub_position_percent", "The part of the present pass that is done.", scrub.percent)
        gauge(
            "layercache_scrub_last_pass_seconds", "When the last pass was complete, since 1970; 0 for never.",
            Int(clamping: scrub.lastPass))
    }
}

extension ServerStatistics.Scrub {
    fileprivate var percent: Int { Int(position * 100) }
}
