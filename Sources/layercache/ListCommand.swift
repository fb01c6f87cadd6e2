import ArgumentParser
import CacheCore

struct ListCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "ls", abstract: "List the refs in L3.")

    @Argument(help: "Only this tenant's refs.")
    var tenant: String?
    @OptionGroup var options: CommonOptions

    private struct Row: Encodable {
        let ref: String
        let manifest: String
        let generation: String
    }

    func run() async throws {
        let settings = try Settings(options)
        let refs = RefStore(try settings.objectStore())
        var rows: [Row] = []
        for reference in try await refs.all(of: try tenant.map { try TenantName(parsing: $0) }) {
            // A ref that was removed since it was listed is no error.
            guard let record = try await refs.read(reference) else { continue }
            rows.append(
                Row(ref: "\(reference)", manifest: "\(record.manifest)", generation: "\(record.generation)"))
        }
        try options.report(["refs": rows]) {
            try Terminal.printTable(["ref", "manifest"], rows.map { [$0.ref, $0.manifest] })
        }
    }
}
