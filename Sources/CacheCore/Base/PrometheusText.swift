/// The text exposition format of Prometheus, version 0.0.4.
package struct PrometheusText: Sendable {
    package static let contentType = "text/plain; version=0.0.4; charset=utf-8"

    package private(set) var text = ""

    package init() {}

    package mutating func counter(_ name: String, _ help: String, _ value: Int) {
        family(name, "counter", help)
        sample(name, "", value)
    }

    package mutating func gauge(_ name: String, _ help: String, _ value: Int) {
        family(name, "gauge", help)
        sample(name, "", value)
    }

    /// One counter with one label; `values` in the order in which they are to appear.
    package mutating func counter(_ name: String, _ help: String, label: String, _ values: [(String, Int)]) {
        family(name, "counter", help)
        for (value, count) in values { sample(name, "{\(label)=\"\(value)\"}", count) }
    }

    /// Histograms of one family with the same bounds, each with its labels as the format writes them.
    ///
    /// - Parameter rows: `counts` has what is no larger than each bound and larger than the one before, and one more
    ///   for what is beyond all.
    package mutating func histogram(
        _ name: String, _ help: String, bounds: [Double], _ rows: [(labels: String, counts: [Int], sum: Double)]
    ) {
        family(name, "histogram", help)
        for (labels, counts, sum) in rows {
            var cumulative = 0
            for (bound, count) in zip(bounds, counts) {
                cumulative += count
                sample("\(name)_bucket", "{\(labels),le=\"\(bound)\"}", cumulative)
            }
            let total = counts.reduce(0, +)
            sample("\(name)_bucket", "{\(labels),le=\"+Inf\"}", total)
            sample("\(name)_sum", "{\(labels)}", sum)
            sample("\(name)_count", "{\(labels)}", total)
        }
    }

    package mutating func family(_ name: String, _ type: String, _ help: String) {
        text += "# HELP \(name) \(help)\n# TYPE \(name) \(type)\n"
    }

    package mutating func sample(_ name: String, _ labels: String, _ value: some Numeric & Sendable) {
        text += "\(name)\(labels) \(value)\n"
    }
}
