import Foundation
import TestSupport
import Testing

/// What the help says can be given can be given in the file as well.
@Suite struct ConfigurationNamesTests {
    /// Of the command line alone: where the file is, and what makes a keyring once.
    private static let others: Set = ["config", "deployment-from"]

    @Test func everyOptionWithAValueIsANameOfTheFile() async throws {
        let bench = try await Workbench()
        let overview = try await bench.succeed(["--help"])
        let verbs = try #require(overview.components(separatedBy: "SUBCOMMANDS:").last)
            .split(separator: "\n").compactMap { $0.wholeMatch(of: #/  ([a-z]+) {2,}.*/#)?.output.1 }
        #expect(verbs.count > 10)
        var names: Set<String> = []
        for verb in verbs {
            for match in try await bench.succeed([String(verb), "--help"]).matches(of: #/\n  --([a-z0-9-]+) </#) {
                names.insert(String(match.output.1))
            }
        }
        #expect(names.isSuperset(of: ["l1", "l2", "l3", "memory", "tls-cert", "lease-time", "scratch"]))
        for name in names.subtracting(Self.others).sorted() {
            try bench.write(Data("{\"\(name)\": \"x\"}".utf8), bench("c.json"))
            // What it says about the value, or of what else is missing, is another matter.
            let error = try await bench.run(["ls", "--config", bench("c.json")]).error
            #expect(!error.contains("unknown name"), "\(name): \(error)")
        }
    }
}
