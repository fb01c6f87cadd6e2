/// How many requests took how long, in fixed buckets of time.
struct Histogram: Sendable {
    /// Upper bounds of the buckets in seconds; one more bucket holds what is beyond the last.
    static let bounds: [Double] = [
        0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10,
    ]
    private static let nanoseconds = bounds.map { Int64($0 * 1e9) }

    private(set) var counts = [Int](repeating: 0, count: bounds.count + 1)
    private(set) var totalNanoseconds: Int64 = 0

    mutating func record(nanoseconds: Int64) {
        let bucket = Self.nanoseconds.firstIndex { nanoseconds <= $0 } ?? Self.bounds.count
        counts[bucket] += 1
        totalNanoseconds += nanoseconds
    }

    mutating func add(_ other: Histogram) {
        for index in counts.indices { counts[index] += other.counts[index] }
        totalNanoseconds += other.totalNanoseconds
    }

    var count: Int { counts.reduce(0, +) }
    var totalSeconds: Double { Double(totalNanoseconds) / 1e9 }
}
