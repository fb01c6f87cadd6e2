/// The text exposition format of Prometheus, version 0.0.4.
struct PrometheusText {
    static let contentType = "text/plain; version=0.0.4; charset=utf-8"

    private(set) var text = ""

    mutating func counter(_ name: String, _ help: String, _ value: Int) {
        family(name, "counter", help)
        sample(name, "", value)
    }

    mutating func gauge(_ name: String, _ help: String, _ value: Int) {
        family(name, "gauge", help)
        sample(name, "", value)
    }

    /// One counter with one label; `values` in the order in which they are to appear.
    mutating func counter(_ name: String, _ help: String, label: String, _ values: [(String, Int)]) {
        family(name, "counter", help)
        for (value, count) in values { sample(name, "{\(label)=\"\(value)\"}", count) }
    }

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
            text += "\(name)_sum{method=\"\(method)\"} \(histogram.totalSeconds)\n"
            sample("\(name)_count", "{method=\"\(method)\"}", histogram.count)
        }
    }

    mutating func family(_ name: String, _ type: String, _ help: String) {
        text += "# HELP \(name) \(help)\n# TYPE \(name) \(type)\n"
    }

    mutating func sample(_ name: String, _ labels: String, _ value: Int) {
        text += "\(name)\(labels) \(value)\n"
    }
}
