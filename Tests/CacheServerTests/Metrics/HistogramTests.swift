import Testing

@testable import CacheServer

/// Counts of durations, as `/metrics` tells them.
struct HistogramTests {
    @Test func histogramCountsByUpperBound() {
        var histogram = Histogram()
        for nanoseconds in [0, 50_000, 50_001, 1_000_000, 10_000_000_001] as [Int64] {
            histogram.record(nanoseconds: nanoseconds)
        }
        #expect(histogram.counts[0] == 2)
        #expect(histogram.counts[1] == 1)
        #expect(histogram.counts[4] == 1)
        #expect(histogram.counts.last == 1)
        histogram.add(histogram)
        #expect(histogram.count == 10)
        #expect(histogram.totalNanoseconds == 2 * 10_001_100_002)
    }
}
