/// What a case wants drawn; ``Report`` writes each to `figures/NAME.svg`.
enum Figure {
    /// Empirical distribution functions: x in `unit` on a logarithmic axis, y the share of samples not above it.
    case distribution(name: String, title: String, unit: String, series: [Series])
    /// Something over seconds; `mark` is a moment worth a line.
    case timeline(name: String, title: String, unit: String, series: [Series], mark: (Double, String)?)
    /// Shares between 0 and 1 over a logarithmic axis in `unit`.
    case ratios(name: String, title: String, unit: String, series: [Series])
    /// Numbers of one unit side by side.
    case bars(name: String, title: String, unit: String, bars: [Bar])

    var name: String {
        switch self {
        case .distribution(let name, _, _, _), .timeline(let name, _, _, _, _), .ratios(let name, _, _, _),
            .bars(let name, _, _, _):
            name
        }
    }

    var title: String {
        switch self {
        case .distribution(_, let title, _, _), .timeline(_, let title, _, _, _), .ratios(_, let title, _, _),
            .bars(_, let title, _, _):
            title
        }
    }

    var svg: String {
        switch self {
        case .ratios(_, let title, let unit, let series):
            LineChart(title: title, xTitle: unit, yTitle: "share", series: series, isLogarithmic: true, top: 1).svg
        case .distribution(_, let title, let unit, let series):
            LineChart(title: title, xTitle: unit, yTitle: "share", series: series, isLogarithmic: true, top: 1).svg
        case .timeline(_, let title, let unit, let series, let mark):
            LineChart(title: title, xTitle: "seconds", yTitle: unit, series: series, mark: mark).svg
        case .bars(_, let title, let unit, let bars): BarChart(title: title, unit: unit, bars: bars).svg
        }
    }
}

/// A line with a name.
struct Series {
    let name: String
    let points: [(x: Double, y: Double)]

    init(_ name: String, _ points: [(x: Double, y: Double)]) {
        self.name = name
        self.points = points
    }

    /// The empirical distribution function of `samples`, thinned to a few hundred points but with the whole tail.
    init(_ name: String, cumulative samples: [Double]) {
        let ordered = samples.sorted()
        let step = max(1, ordered.count / 300)
        let tail = ordered.count - 20
        self.init(
            name,
            ordered.indices.filter { $0 % step == 0 || $0 >= tail }
                .map { (ordered[$0], Double($0 + 1) / Double(ordered.count)) })
    }
}

/// One number with a name; ours are drawn in the accent color.
struct Bar {
    let name: String
    let value: Double
    let isOurs: Bool

    init(_ name: String, _ value: Double, isOurs: Bool = false) {
        self.name = name
        self.value = value
        self.isOurs = isOurs
    }
}
