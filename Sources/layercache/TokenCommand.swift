import ArgumentParser
import CacheAccess
import CacheCore

struct TokenCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "token",
        abstract: "Make, take back and list the tokens that clients of an L2 daemon must have.",
        discussion: """
            The file (server --tokens) keeps names, scopes and hashes, never a token. A running daemon heeds a change \
            within a second.
            """,
        subcommands: [Add.self, Remove.self, List.self])

    /// The file that all of them work on.
    struct FileOption: ParsableArguments {
        @Option(
            name: .customLong("tokens"), help: ArgumentHelp("Token list of the daemon.", valueName: "file"))
        var tokens: String?

        func path(_ settings: Settings) throws -> String {
            try settings.required("tokens", tokens, "/etc/layercache/tokens.json")
        }
    }

    struct Add: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "add",
            abstract: "Make a token and print it alone: it is nowhere else.",
            discussion: """
                Scopes: read (asks for chunks and numbers), write (puts chunks, too), admin (everything). The file is \
                made if there is none.
                """)

        @Argument(help: "What to call it: letters, digits and . _ -")
        var name: String
        @Option(help: ArgumentHelp("What its bearer may do: read, write or admin.", valueName: "scope"))
        var scope: String
        @OptionGroup var file: FileOption
        @OptionGroup var options: CommonOptions

        func validate() throws {
            guard AccessScope(scope) != nil else {
                throw ValidationError("--scope '\(scope)' is none of read, write and admin.")
            }
        }

        func run() async throws {
            let path = try file.path(try Settings(options))
            guard let scope = AccessScope(scope) else { return }
            let token = try TokenFile.add(name, scope, to: path)
            // Whatever is asked for with --quiet: nobody can have it again.
            do {
                if options.json {
                    try Terminal.printJSON(["name": name, "scope": scope.name, "token": token.text])
                } else {
                    try Terminal.say(token.text)
                }
            } catch {
                // A token that nobody got is none.
                try TokenFile.remove(name, from: path)
                throw error
            }
        }
    }

    struct Remove: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "remove", abstract: "Take a token back: its bearer is refused within a second.")

        @Argument(help: "The token's name.")
        var name: String
        @OptionGroup var file: FileOption
        @OptionGroup var options: CommonOptions

        func run() async throws {
            let path = try file.path(try Settings(options))
            try TokenFile.remove(name, from: path)
            try options.report(["name": name]) { try Terminal.say("\(path) has no token \(name) any more") }
        }
    }

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "list", abstract: "Show names and scopes of all tokens.")

        @OptionGroup var file: FileOption
        @OptionGroup var options: CommonOptions

        func run() async throws {
            let entries = try TokenFile.read(try file.path(try Settings(options)))
            let report = ["tokens": entries.map { ["name": $0.name, "scope": $0.scope.name] }]
            try options.report(report) {
                try Terminal.printTable(["name", "scope"], entries.map { [$0.name, $0.scope.name] })
            }
        }
    }
}
