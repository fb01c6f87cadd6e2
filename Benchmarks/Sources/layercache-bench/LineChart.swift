import Foundation

/// Lines over a linear or logarithmic axis, with a legend.
struct LineChart {
    let title: String
    let xTitle: String
    let yTitle: String
    let series: [Series]
    var isLogarithmic = false
    /// The top of the y axis; by default what the data needs.
    var top: Double?
    var mark: (Double, String)?

    private let left = 76.0
    private let right = SVG.width - 28
    private let upper = 76.0
    private let lower = 316.0

    init(
        title: String, xTitle: String, yTitle: String, series: [Series], isLogarithmic: Bool = false,
        top: Double? = nil,
        mark: (Double, String)? = nil
    ) {
        self.title = title
        self.xTitle = xTitle
        self.yTitle = yTitle
        self.series = series
        self.isLogarithmic = isLogarithmic
        self.top = top
        self.mark = mark
    }

    var svg: String {
        var svg = SVG(height: 372, title: title)
        let points = series.flatMap(\.points)
        let ticks = xTicks(points.map(\.x))
        let yTicks =
            top.map { top in (0...4).map { Double($0) * top / 4 } } ?? (points.map(\.y).max() ?? 1).ticksFromZero
        guard let firstX = ticks.first, let lastX = ticks.last, let lastY = yTicks.last, lastX > firstX else {
            return svg.document
        }
        func x(_ value: Double) -> Double {
            let share =
                isLogarithmic
                ? log(max(value, firstX) / firstX) / log(lastX / firstX) : (value - firstX) / (lastX - firstX)
            return left + share * (right - left)
        }
        func y(_ value: Double) -> Double { lower - value / lastY * (lower - upper) }

        for tick in yTicks {
            svg.line(left, y(tick), right, y(tick), classes: tick == 0 ? "axis" : "grid")
            svg.text(tick.tickLabel, x: left - 10, y: y(tick) + 4, anchor: "end")
        }
        for tick in ticks {
            svg.line(x(tick), upper, x(tick), lower, classes: "grid")
            svg.text(tick.tickLabel, x: x(tick), y: lower + 20, anchor: "middle")
        }
        svg.text(xTitle, x: (left + right) / 2, y: lower + 42, anchor: "middle")
        svg.text(yTitle, x: 24, y: upper - 14)
        if let (moment, name) = mark {
            svg.line(x(moment), upper, x(moment), lower, classes: "mark")
            svg.text(name, x: x(moment) + 6, y: lower - 10)
        }
        // About the width of a text: a picture cannot ask.
        var legend = right - series.reduce(0) { $0 + Double($1.name.count) * 6.7 + 48 } + 20
        for (number, line) in series.enumerated() {
            svg.line(legend, upper - 18, legend + 20, upper - 18, classes: "line s\(number % 7)")
            svg.text(line.name, x: legend + 26, y: upper - 14)
            legend += Double(line.name.count) * 6.7 + 48
        }
        for (number, line) in series.enumerated() {
            svg.path(line.points.map { (x($0.x), y($0.y)) }, classes: "line s\(number % 7)")
        }
        return svg.document
    }

    private func xTicks(_ values: [Double]) -> [Double] {
        let highest = values.max() ?? 1
        guard isLogarithmic else { return Array(highest.ticksFromZero) }
        let lowest = max(values.min() ?? 1, 1e-3)
        let steps = (-3...7).flatMap { power in [1.0, 2, 5].map { $0 * pow(10, Double(power)) } }
        let below = steps.last { $0 <= lowest } ?? lowest
        let above = steps.first { $0 > highest } ?? highest
        let inside = steps.filter { $0 >= below && $0 <= above }
        // Too many to read: only the decades and both ends.
        return inside.count <= 10
            ? inside : inside.filter { abs(log10($0).rounded() - log10($0)) < 1e-9 || $0 == below || $0 == above }
    }
}
