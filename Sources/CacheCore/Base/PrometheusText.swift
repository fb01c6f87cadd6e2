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

    package mutating func family(_ name: String, _ type: String, _ help: String) {
        text += "# HELP \(name) \(help)\n# TYPE \(name) \(type)\n"
    }

    package mutating func sample(_ name: String, _ labels: String, _ value: some Numeric & Sendable) {
        text += "\(name)\(labels) \(value)\n"
    }
}
