import Foundation

/// Rows as text and as Markdown.
struct Table {
    private let cells: [[String]]
    static let header = ["case", "metric", "value", "yardstick", "its value", "ratio", "target", "met"]

    init(_ rows: [Row]) {
        cells = rows.map { row in
            [
                row.case, row.metric, "\(row.value.short) \(row.unit)", row.yardstick ?? "",
                row.yardstickValue.map { "\($0.short) \(row.unit)" } ?? "", row.ratio.map { "\($0.short) x" } ?? "",
                row.target ?? "", row.met.map { $0 ? "yes" : "NO" } ?? "",
            ]
        }
    }

    var text: String {
        let all = [Self.header] + cells
        let widths = Self.header.indices.map { column in all.map { $0[column].count }.max() ?? 0 }
        return all.map { row in
            zip(row, widths).map { $0.padding(toLength: $1, withPad: " ", startingAt: 0) }.joined(separator: "  ")
        }.joined(separator: "\n")
    }

    /// Without the column of the case, which is the heading above it.
    var markdown: String {
        let columns = Self.header.dropFirst()
        let lines = cells.map { "| " + $0.dropFirst().joined(separator: " | ") + " |" }
        let rule = "|" + columns.map { _ in "---|" }.joined()
        return (["| " + columns.joined(separator: " | ") + " |", rule] + lines).joined(separator: "\n")
    }
}

/// docs/BENCHMARKS.md and its figures.
struct Report {
    let results: [(BenchCase, CaseResult)]
    let machine: Machine
    let imageBytes: Double?

    func write(to directory: String) throws {
        let figures = "\(directory)/figures"
        try FileManager.default.createDirectory(atPath: figures, withIntermediateDirectories: true)
        for figure in results.flatMap(\.1.figures) {
            try figure.svg.write(toFile: "\(figures)/\(figure.name).svg", atomically: true, encoding: .utf8)
        }
        try markdown.write(toFile: "\(directory)/BENCHMARKS.md", atomically: true, encoding: .utf8)
    }

    private var markdown: String {
        let targets = results.flatMap(\.1.rows).filter { $0.met != nil }
        let missed = targets.filter { $0.met == false }
        let names = missed.map { "\($0.case), \($0.metric)" }.joined(separator: "; ")
        var text = """
            # Benchmarks

            Written by `make bench`; every number is from one run on one machine, beside its yardstick from the \
            same run. Ratios travel
            between machines, absolute numbers do not. One case: \
            `Benchmarks/.build/release/layercache-bench CASE [--json]`.

            \(machine.markdown)

            The image: \(imageBytes.map { "\(($0 / 1e6).short) MB" } ?? "none") of layers as tar (Debian, Python, \
            numpy, scipy; `Scripts/make-image`).

            Of \(targets.count) targets \(targets.count - missed.count) are met\
            \(missed.isEmpty ? "." : "; not: \(names).")

            """
        for (chosen, result) in results {
            text += "\n## \(chosen.rawValue)\n\n\(result.method)\n"
            for reason in result.skipped { text += "\nNot measured: \(reason).\n" }
            if !result.rows.isEmpty { text += "\n\(Table(result.rows).markdown)\n" }
            for figure in result.figures { text += "\n![\(figure.title)](figures/\(figure.name).svg)\n" }
        }
        return text
    }
}

/// What this machine is, from /proc and from the tools themselves.
struct Machine {
    let markdown: String

    init() {
        func file(_ path: String) -> String { (try? String(contentsOfFile: path, encoding: .utf8)) ?? "" }
        func field(_ text: String, _ name: String) -> String {
            let line = text.split(separator: "\n").first { $0.hasPrefix(name) }
            return line?.split(separator: ":", maxSplits: 1).last?.trimmingCharacters(in: .whitespaces) ?? "unknown"
        }
        let processor = field(file("/proc/cpuinfo"), "model name")
        let memory =
            (Double(field(file("/proc/meminfo"), "MemTotal").split(separator: " ").first ?? "0") ?? 0) / 1_048_576
        let system = file("/etc/os-release").split(separator: "\n").first { $0.hasPrefix("PRETTY_NAME=") }
            .map { $0.dropFirst("PRETTY_NAME=".count).replacingOccurrences(of: "\"", with: "") }
        let kernel = file("/proc/sys/kernel/osrelease").trimmingCharacters(in: .whitespacesAndNewlines)
        let tools = [
            "nginx", "redis-server", "casync", "restic", "borg", "wrk", "skopeo", "umoci", "fio", "mkfs.erofs",
        ]
        let peers = tools.map {
            "\($0) \(installed($0) == nil ? "not installed" : "installed")"
        }
        markdown = """
            | | |
            |---|---|
            | processor | \(processor), \(ProcessInfo.processInfo.activeProcessorCount) cores |
            | memory | \(memory.short) GiB |
            | system | \(system ?? "unknown"), Linux \(kernel) |
            | libraries | \(BareCodec.versions) |
            | yardsticks | \(peers.joined(separator: ", ")) |
            """
    }
}
