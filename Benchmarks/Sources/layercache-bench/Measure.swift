import Foundation

/// Seconds that `body` takes.
func seconds<R>(_ body: () throws -> R) rethrows -> (Double, R) {
    let start = ContinuousClock.now
    let result = try body()
    return ((ContinuousClock.now - start) / .seconds(1), result)
}

extension Array where Element == Double {
    /// The smallest value that `share` of all values do not exceed.
    func percentile(_ share: Double) -> Double {
        let ordered = sorted()
        guard let last = ordered.last else { return 0 }
        let index = Int((share * Double(ordered.count)).rounded(.up)) - 1
        return index < ordered.count ? ordered[Swift.max(index, 0)] : last
    }

    var median: Double { percentile(0.5) }

    /// The smallest value; 0 of none. For whole processes: what else a machine does can only make them slower.
    var least: Double { self.min() ?? 0 }
}

extension Double {
    /// Three significant digits, and no more zeros than needed.
    var short: String {
        let magnitude = abs(self)
        if magnitude >= 100 || self == rounded() { return String(format: "%.0f", self) }
        return String(format: magnitude >= 10 ? "%.1f" : magnitude >= 1 ? "%.2f" : "%.3f", self)
    }
}

/// A failure of the harness itself, in one line.
struct BenchError: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}
