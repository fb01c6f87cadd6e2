import ArgumentParser
import CacheCore

struct ListCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "ls", abstract: "List the refs in L3.",
        discussion: "One that cannot be read is listed too, and is a line on standard error and status 1.")

    @Argument(help: "Only this tenant's refs.")
    var tenant: String?
    @OptionGroup var options: CommonOptions

    /// Lines on standard error about what cannot be read.
    private static let mostComplaints = 100

    private struct Row: Encodable {
        let ref: String
        let manifest: String
        let generation: String
    }

    private struct Problem: Encodable {
        let ref: String
        let problem: String
    }

    private struct Report: Encodable {
        var refs: [Row] = []
        var problems: [Problem] = []
    }

    func run() async throws {
        let settings = try Settings(options)
        let refs = RefStore(try settings.objectStore())
        var report = Report()
        var table: [[String]] = []
        for listed in try await refs.list(of: try tenant.map { try TenantName(parsing: $0) }) {
            switch listed.record {
            case .success(let record):
                let row = Row(ref: listed.name, manifest: "\(record.manifest)", generation: "\(record.generation)")
                report.refs.append(row)
                table.append([row.ref, row.manifest])
            case .failure(let error):
                report.problems.append(Problem(ref: listed.name, problem: "\(error)"))
                table.append([listed.name, "cannot be read"])
            }
        }
        try options.report(report) { try Terminal.printTable(["ref", "manifest"], table) }
        guard !report.problems.isEmpty else { return }
        for problem in report.problems.prefix(Self.mostComplaints) {
            Terminal.complain("layercache: \(problem.ref): \(problem.problem)")
        }
        let rest = report.problems.count - Self.mostComplaints
        if rest > 0 { Terminal.complain("layercache: and \(rest) more that cannot be read") }
        throw ExitCode.failure
    }
}
