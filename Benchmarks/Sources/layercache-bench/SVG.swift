import Foundation

/// Builds one picture: elements in order, colors by class so that it can be read in light and in dark.
struct SVG {
    static let width = 720.0
    private let height: Double
    private var elements: [String] = []

    init(height: Double, title: String) {
        self.height = height
        text(title, x: 24, y: 30, classes: "title")
    }

    mutating func line(_ x1: Double, _ y1: Double, _ x2: Double, _ y2: Double, classes: String) {
        elements.append(
            #"<line x1="\#(x1.pixel)" y1="\#(y1.pixel)" x2="\#(x2.pixel)" y2="\#(y2.pixel)" class="\#(classes)"/>"#)
    }

    mutating func rectangle(_ x: Double, _ y: Double, _ width: Double, _ height: Double, classes: String) {
        elements.append(
            #"<rect x="\#(x.pixel)" y="\#(y.pixel)" width="\#(width.pixel)" height="\#(height.pixel)" "#
                + #"rx="3" class="\#(classes)"/>"#
        )
    }

    mutating func path(_ points: [(x: Double, y: Double)], classes: String) {
        guard let first = points.first else { return }
        let rest = points.dropFirst().map { "L\($0.x.pixel) \($0.y.pixel)" }.joined()
        elements.append(#"<path d="M\#(first.x.pixel) \#(first.y.pixel)\#(rest)" class="\#(classes)"/>"#)
    }

    /// - Parameter anchor: `start`, `middle` or `end`.
    mutating func text(_ text: String, x: Double, y: Double, anchor: String = "start", classes: String = "label") {
        let escaped = text.replacingOccurrences(of: "&", with: "&amp;").replacingOccurrences(of: "<", with: "&lt;")
        elements.append(
            #"<text x="\#(x.pixel)" y="\#(y.pixel)" text-anchor="\#(anchor)" class="\#(classes)">\#(escaped)</text>"#)
    }

    var document: String {
        """
        <svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 \(Self.width.pixel) \(height.pixel)" \
        width="\(Self.width.pixel)" height="\(height.pixel)" role="img">
        <style>
        \(Self.style)
        </style>
        <rect width="100%" height="100%" class="paper"/>
        \(elements.joined(separator: "\n"))
        </svg>

        """
    }

    private static let style = """
        text { font-family: system-ui, "Segoe UI", Helvetica, Arial, sans-serif; font-size: 13px; fill: #444c56 }
        .title { font-size: 16px; font-weight: 600; fill: #1c2128 }
        .value { font-weight: 600; fill: #1c2128 }
        .paper { fill: #ffffff }
        .grid { stroke: #d8dee4; stroke-width: 1 }
        .axis { stroke: #8c959f; stroke-width: 1 }
        .mark { stroke: #8c959f; stroke-width: 1; stroke-dasharray: 4 4 }
        .line { fill: none; stroke-width: 2; stroke-linejoin: round }
        .s0 { stroke: #0969da } .s1 { stroke: #bc4c00 } .s2 { stroke: #1a7f37 } .s3 { stroke: #8250df }
        .s4 { stroke: #bf3989 } .s5 { stroke: #9a6700 } .s6 { stroke: #8c959f; stroke-dasharray: 6 4 }
        .ours { fill: #0969da } .other { fill: #9aa4af }
        @media (prefers-color-scheme: dark) {
        text { fill: #adbac7 } .title, .value { fill: #e6edf3 } .paper { fill: #0d1117 }
        .grid { stroke: #2a313c } .axis, .mark { stroke: #768390 }
        .s0 { stroke: #58a6ff } .s1 { stroke: #f0883e } .s2 { stroke: #3fb950 } .s3 { stroke: #bc8cff }
        .s4 { stroke: #f778ba } .s5 { stroke: #d29922 } .s6 { stroke: #768390 }
        .ours { fill: #388bfd } .other { fill: #57606a }
        }
        """
}

extension Double {
    fileprivate var pixel: String {
        let text = String(format: "%.1f", self)
        return text.hasSuffix(".0") ? String(text.dropLast(2)) : text
    }

    /// A tick's label: no more digits than it needs, thousands apart.
    var tickLabel: String {
        if abs(self) >= 1000 {
            return Int(rounded()).formatted(.number.grouping(.automatic).locale(Locale(identifier: "en_US")))
        }
        return String(format: "%g", self)
    }

    /// Round numbers from 0 to at least this one, about five of them.
    var ticksFromZero: [Double] {
        let rough = Swift.max(self, 1e-9) / 5
        let power = pow(10, floor(log10(rough)))
        let step = ([1, 2, 2.5, 5, 10].first { $0 * power >= rough } ?? 10) * power
        return (0...Int((self / step).rounded(.up))).map { Double($0) * step }
    }
}
