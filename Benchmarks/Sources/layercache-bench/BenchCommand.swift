import ArgumentParser
import Foundation

@main
struct BenchCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "layercache-bench",
        abstract: "Measures LayerCache against what else the same machine can do, in the same run.",
        discussion:
            "Cases: \(BenchCase.allCases.map(\.rawValue).joined(separator: ", ")); all of them if none is named.")

    @Argument(help: "What to measure.")
    var cases: [BenchCase] = []
    @Flag(help: "Print the rows as a JSON array, and nothing else on standard output.")
    var json = false
    @Flag(help: "Seconds instead of minutes: shows that everything runs; its numbers mean little.")
    var quick = false
    @Option(help: ArgumentHelp("The image to work on, an OCI layout.", valueName: "DIR:TAG"))
    var image = ".demo/image:python"
    @Option(
        name: .customLong("start"),
        help: ArgumentHelp(
            "An image for case cold-start; its name (small, middle, large) says which program runs. May be repeated.",
            valueName: "NAME=DIR:TAG"))
    var starts: [String] = []
    @Option(
        name: .customLong("trace"),
        help: ArgumentHelp(
            "A trace for case eviction, in libCacheSim's format oracleGeneral. May be repeated.",
            valueName: "NAME=FILE"))
    var traces: [String] = []
    @Option(help: ArgumentHelp("Leave the traces of case eviction in this directory.", valueName: "dir"))
    var keepTraces: String?
    @Option(help: ArgumentHelp("The layercache to measure.", valueName: "file"))
    var binary = ".build/release/layercache"
    @Option(help: ArgumentHelp("Where a directory for the run is made (and removed).", valueName: "dir"))
    var scratch = ".demo"
    @Option(help: ArgumentHelp("Write BENCHMARKS.md and figures/ into this directory.", valueName: "dir"))
    var report: String?

    func run() async throws {
        let here = FileManager.default.currentDirectoryPath
        func absolute(_ path: String) -> String { path.hasPrefix("/") ? path : "\(here)/\(path)" }
        let startImages = try starts.map { try StartImage(option: $0).at(absolute) }
        let workspace = try Workspace(parent: absolute(scratch), binary: absolute(binary), quick: quick)
        let signals = endOnSignals(workspace)
        defer {
            signals.forEach { $0.cancel() }
            Child.endAll()
            workspace.remove()
        }
        let context = Context(
            workspace: workspace, source: absolute(image), starts: startImages,
            evictionFiles: EvictionFiles(traces: traces, kept: keepTraces))
        var results: [(BenchCase, CaseResult)] = []
        for chosen in cases.isEmpty ? BenchCase.allCases : cases {
            FileHandle.standardError.write(Data("running \(chosen.rawValue)\n".utf8))
            let result = try await chosen.run(context)
            for reason in result.skipped {
                FileHandle.standardError.write(Data("\(chosen.rawValue) skipped: \(reason)\n".utf8))
            }
            results.append((chosen, result))
        }
        let rows = results.flatMap(\.1.rows)
        if json {
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.prettyPrinted, .withoutEscapingSlashes]
            print(String(decoding: try encoder.encode(rows), as: UTF8.self))
        } else {
            print(Table(rows).text)
        }
        if let report {
            let bytes = try? context.image().byteCount
            try Report(results: results, machine: Machine(), imageBytes: bytes).write(to: absolute(report))
        }
    }

    /// No server and no directory is left behind when the run is stopped.
    private func endOnSignals(_ workspace: Workspace) -> [any DispatchSourceSignal] {
        [SIGINT, SIGTERM].map { number in
            signal(number, SIG_IGN)
            let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
            source.setEventHandler {
                Child.endAll()
                workspace.remove()
                _exit(128 + number)
            }
            source.resume()
            return source
        }
    }
}

extension BenchCase: ExpressibleByArgument {}
