internal import CacheBase

extension PrometheusText {
    /// One histogram for each method.
    mutating func histogram(_ name: String, _ help: String, _ histograms: [(method: String, Histogram)]) {
        family(name, "histogram", help)
        for (method, histogram) in histograms {
            var cumulative = 0
            for (bound, count) in zip(Histogram.bounds, histogram.counts) {
                cumulative += count
                sample("\(name)_bucket", "{method=\"\(method)\",le=\"\(bound)\"}", cumulative)
            }
            sample("\(name)_bucket", "{method=\"\(method)\",le=\"+Inf\"}", histogram.count)
            sample("\(name)_sum", "{method=\"\(method)\"}", histogram.totalSeconds)
            sample("\(name)_count", "{method=\"\(method)\"}", histogram.count)
        }
    }
}
