/// One measured number and, where there is one, the yardstick of the same run. Its JSON form is a promise to scripts
/// (docs/OPERATIONS.md, "JSON").
struct Row: Encodable {
    let `case`: String
    let metric: String
    let value: Double
    let unit: String
    var yardstick: String?
    var yardstickValue: Double?
    /// `value / yardstickValue`.
    var ratio: Double?
    /// What the budget asks, in words: of the ratio if it begins with a comparison and ends in "x", else of the value.
    var target: String?
    var met: Bool?

    private enum CodingKeys: String, CodingKey {
        case `case`, metric, value, unit, yardstick, yardstickValue, ratio, target, met
    }

    /// All keys are always there; what does not apply is null.
    func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(`case`, forKey: .case)
        try container.encode(metric, forKey: .metric)
        try container.encode(value, forKey: .value)
        try container.encode(unit, forKey: .unit)
        try container.encode(yardstick, forKey: .yardstick)
        try container.encode(yardstickValue, forKey: .yardstickValue)
        try container.encode(ratio, forKey: .ratio)
        try container.encode(target, forKey: .target)
        try container.encode(met, forKey: .met)
    }
}

/// What a budget asks of a number.
enum Target {
    case atLeast(Double)
    case atMost(Double)

    func isMet(by value: Double) -> Bool {
        switch self {
        case .atLeast(let bound): value >= bound
        case .atMost(let bound): value <= bound
        }
    }

    func text(_ unit: String) -> String {
        switch self {
        case .atLeast(let bound): ">= \(bound.short) \(unit)"
        case .atMost(let bound): "<= \(bound.short) \(unit)"
        }
    }
}

extension Row {
    /// A number beside a yardstick of the same unit; `target` is one for their ratio.
    static func compared(
        _ name: String, _ metric: String, _ value: Double, _ unit: String, to yardstick: String,
        _ yardstickValue: Double?,
        target: Target? = nil
    ) -> Row {
        guard let yardstickValue else {
            return Row(
                case: name, metric: metric, value: value, unit: unit, yardstick: "\(yardstick): not installed",
                target: target?.text("x"))
        }
        let ratio = value / yardstickValue
        return Row(
            case: name, metric: metric, value: value, unit: unit, yardstick: yardstick, yardstickValue: yardstickValue,
            ratio: ratio, target: target?.text("x"), met: target?.isMet(by: ratio))
    }

    /// A number whose target, if it has one, is for itself.
    static func plain(
        _ name: String, _ metric: String, _ value: Double, _ unit: String, target: Target? = nil
    ) -> Row {
        Row(
            case: name, metric: metric, value: value, unit: unit, target: target?.text(unit),
            met: target?.isMet(by: value))
    }
}

/// What a case found.
struct CaseResult {
    var rows: [Row] = []
    var figures: [Figure] = []
    /// How it was measured, for the report.
    var method = ""
    /// What this machine did not let it measure: a reason each.
    var skipped: [String] = []
}
