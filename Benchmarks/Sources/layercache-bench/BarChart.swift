/// Horizontal bars from zero, each with its number.
struct BarChart {
    let title: String
    let unit: String
    let bars: [Bar]

    var svg: String {
        let left = 210.0
        let right = SVG.width - 110
        let rowHeight = 34.0
        let upper = 58.0
        let lower = upper + rowHeight * Double(bars.count)
        var svg = SVG(height: lower + 56, title: title)
        let ticks = (bars.map(\.value).max() ?? 1).ticksFromZero
        let last = ticks.last ?? 1
        func x(_ value: Double) -> Double { left + value / last * (right - left) }
        for tick in ticks {
            svg.line(x(tick), upper, x(tick), lower, classes: tick == 0 ? "axis" : "grid")
            svg.text(tick.tickLabel, x: x(tick), y: lower + 20, anchor: "middle")
        }
        svg.text(unit, x: (left + right) / 2, y: lower + 42, anchor: "middle")
        for (number, bar) in bars.enumerated() {
            let y = upper + rowHeight * Double(number)
            svg.text(bar.name, x: left - 12, y: y + 22, anchor: "end")
            svg.rectangle(
                left, y + 6, max(x(bar.value) - left, 1), rowHeight - 12, classes: bar.isOurs ? "ours" : "other")
            svg.text("\(bar.value.short) \(unit)", x: x(bar.value) + 8, y: y + 22, classes: "value")
        }
        return svg.document
    }
}
