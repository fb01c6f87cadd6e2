import ArgumentParser
import CacheCore

struct KeygenCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "keygen",
        abstract: "Add a tenant's key to a keyring file; the file is made if there is none.",
        discussion: """
            A new file also gets a deployment key, which those who push need. All who push to one L3 must share it: \
            use one file, or
            --deployment-from. A worker's file needs none: --worker.
            """)

    @Argument(help: "The tenant's name: lower-case letters, digits and . _ -")
    var tenant: String
    @Option(help: ArgumentHelp("Take the deployment key from this keyring.", valueName: "file"))
    var deploymentFrom: String?
    @Flag(help: "Make a keyring without a deployment key: enough to pull.")
    var worker = false
    @OptionGroup var options: CommonOptions

    func validate() throws {
        if worker && deploymentFrom != nil {
            throw ValidationError("--worker and --deployment-from exclude each other.")
        }
    }

    func run() async throws {
        let settings = try Settings(options)
        let path = try settings.keyringPath()
        let source: Keyring.Deployment =
            if worker { .none } else if let deploymentFrom { .copy(from: deploymentFrom) } else { .create }
        try Keyring.add(try TenantName(parsing: tenant), toFile: path, deployment: source)
        try options.report(["tenant": tenant, "keyring": path]) {
            try Terminal.say("\(path) holds the key of \(tenant) now: keep it secret, keep a copy")
        }
    }
}
