import Foundation

/// What `push --json` prints (docs/OPERATIONS.md, "JSON"), as far as it is needed here.
struct PushReport: Decodable {
    struct Chunks: Decodable { let total: Int }
    struct Bytes: Decodable { let logical, new, uploaded: Double }
    let chunks: Chunks
    let bytes: Bytes
}

/// Keys and an L3 directory for the image cases.
struct Deployment {
    let workspace: Workspace
    let keyring: String

    init(_ workspace: Workspace) throws {
        self.workspace = workspace
        keyring = workspace.fresh("keyring")
        _ = try workspace.layercache(["keygen", "bench", "--keyring", keyring, "--quiet"])
    }

    func push(_ source: String, as ref: String, to l3: String) throws -> (report: PushReport, usage: Child.Usage) {
        let (output, usage) = try workspace.layercache(
            ["push", source, ref, "--l3", l3, "--keyring", keyring, "--json"])
        return (try workspace.decode(output), usage)
    }
}
