import Foundation
import Glibc
import TestSupport
import Testing

/// The contract of the command line: what is printed, where, and the exit status.
@Suite struct CommandLineTests {
    private func names(_ text: String) throws -> [String: Any] {
        try #require(try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any])
    }

    private func keys(_ value: Any?) -> Set<String> { Set((value as? [String: Any] ?? [:]).keys) }

    @Test func jsonHasTheContractsNames() async throws {
        let bench = try await Workbench()
        try await bench.shell("head -c 1000 /dev/urandom > f")
        let common = ["--l3", bench.l3, "--keyring", bench.keyring, "--json"]
        let push = try names(try await bench.succeed(["push", "file:\(bench("f"))", "acme/f:1"] + common))
        #expect(keys(push) == ["ref", "manifest", "chunks", "bytes", "seconds"])
        #expect(keys(push["chunks"]) == ["total", "zero", "new"])
        #expect(keys(push["bytes"]) == ["logical", "new", "uploaded"])
        let pull = try names(try await bench.succeed(["pull", "acme/f:1", "file:\(bench("g"))"] + common))
        #expect(keys(pull) == ["ref", "bytes", "chunks", "tiers", "repaired", "seconds"])
        #expect(keys(pull["chunks"]) == ["total", "zero"])
        #expect(keys(pull["tiers"]) == ["memory", "l1", "l2", "l3"])
        #expect(keys((pull["tiers"] as? [String: Any])?["l3"]) == ["chunks", "bytes"])
        #expect(keys(pull["repaired"]) == ["l1", "l2"])
    }

    @Test func quietAndPipedOutputIsBare() async throws {
        let bench = try await Workbench()
        try await bench.shell("head -c 3000000 /dev/urandom > f")
        let common = ["--l3", bench.l3, "--keyring", bench.keyring]
        for (index, verb) in [
            ["push", "file:\(bench("f"))", "acme/f:1"], ["pull", "acme/f:1", "file:\(bench("g"))"],
            ["verify", "acme/f:1"],
        ]
        .enumerated() {
            let loud = try await bench.run(verb + common)
            #expect(loud.status == 0, "\(loud.error)")
            #expect(!loud.output.isEmpty, "\(loud.error)")
            #expect(loud.error.isEmpty, "\(loud.error)")
            #expect(!loud.output.contains("\r"))
            #expect(!loud.output.contains("\u{1B}"))
            if index == 1 { try await bench.shell("rm g") }
            let quiet = try await bench.run(verb + common + ["--quiet"])
            #expect(quiet.status == 0, "\(verb) \(quiet.error)")
            #expect(quiet.output.isEmpty, "\(verb) \(quiet.error)")
            #expect(quiet.error.isEmpty, "\(verb) \(quiet.error)")
        }
    }

    @Test func optionsComeFromTheEnvironmentAndAFile() async throws {
        let bench = try await Workbench()
        try await bench.shell("echo content > f")
        try bench.write(
            Data(
                #"{"l3": "\#(bench("nowhere"))", "keyring": "\#(bench.keyring)", "l1-capacity": "64MiB"}"#.utf8),
            bench("c.json"))
        // The command line wins, then the environment, then the file.
        try await bench.succeed(
            ["push", "file:\(bench("f"))", "acme/f:1", "--config", bench("c.json")],
            environment: ["LAYERCACHE_L3": bench.l3])
        try await bench.succeed(
            ["pull", "acme/f:1", "file:\(bench("g"))", "--l3", bench.l3],
            environment: ["LAYERCACHE_CONFIG": bench("c.json"), "LAYERCACHE_L3": "/nowhere/at/all"])
        #expect(try await bench.same(bench("f"), bench("g")))
    }

    /// What a push leaves out is printed, a line each, unless `--quiet` is given.
    @Test func whatAPushLeavesOutIsSaid() async throws {
        let bench = try await Workbench()
        try await bench.python(
            "import socket; os.mkdir('in'); os.chdir('in'); socket.socket(socket.AF_UNIX).bind('talk'); "
                + "socket.socket(socket.AF_UNIX).bind('walk')"
        )
        let arguments = ["push", "dir:\(bench("in"))", "acme/d:1", "--l3", bench.l3, "--keyring", bench.keyring]
        let outcome = try await bench.run(arguments)
        #expect(outcome.status == 0)
        #expect(outcome.errorLines.count == 2)
        #expect(outcome.errorLines.allSatisfy { $0.hasPrefix("layercache: ") && $0.contains("is a socket") })
        let quiet = try await bench.run(arguments + ["--quiet"])
        #expect(quiet.status == 0)
        #expect(quiet.error.isEmpty)
    }

    @Test func aPipeIsNoConfiguration() async throws {
        let bench = try await Workbench()
        try await bench.shell("mkfifo pipe")
        let error = try await bench.fail(["verify", "acme/x:1", "--config", bench("pipe")])
        #expect(error.contains("not a regular file"))
    }

    /// A name that means something in the layers of images is a file in a directory, and the pull knows which it was.
    @Test func namesOfWhiteouts() async throws {
        let bench = try await Workbench()
        try await bench.shell("mkdir in; echo x > in/a; echo y > in/.wh.a; (cd in; tar cf ../in.tar a .wh.a)")
        try await bench.python("import zipfile; zipfile.ZipFile('in.zip', 'w').write('in/.wh.a', '.wh.a')")
        for (source, expected) in [("dir:in", ".wh.a\na\n"), ("zip:in.zip", ".wh.a\n"), ("tar:in.tar", "a\n")] {
            let parts = source.split(separator: ":")
            try await bench.push("\(parts[0]):\(bench(String(parts[1])))", "acme/\(parts[0]):1")
            try await bench.pull("acme/\(parts[0]):1", "dir:\(bench("out-\(parts[0])"))")
            #expect(try await bench.shell("ls -A out-\(parts[0])") == expected)
        }
    }

    @Test func badUsageHasStatusTwo() async throws {
        let bench = try await Workbench()
        let common = ["--l3", bench.l3, "--keyring", bench.keyring]
        let bad: [[String]] = [
            ["nonsense"], ["push"], ["push", "file:/dev/null"] + common, ["pull", "acme/a:1"] + common,
            ["pull", "acme/a:1", "tar:x", "--nonsense"] + common,
            ["push", "file:x", "acme/a:1", "--compression", "77"] + common,
            ["push", "file:x", "acme/a:1", "--compression", "32"] + common,
            ["pull", "acme/a:1", "tar:x", "--l1", bench.l1, "--l1-capacity", "10 elephants"] + common,
            ["pull", "acme/a:1", "tar:x", "--l1", bench.l1, "--l1-capacity", "-5"] + common,
            ["pull", "acme/a:1", "tar:x", "--l1", bench.l1, "--l1-capacity", "99999999999999999999TiB"] + common,
            ["push", "file:x", "acme/a:1", "--keyring", bench.keyring],
            ["push", "file:x", "acme/a:1", "--l3", bench.l3],
            ["server", "--store", bench("s")],
            ["server", "--store", bench("s"), "--capacity", "1GiB", "--listen", "nowhere"],
            ["server", "--store", bench("s"), "--capacity", "1GiB", "--threads", "0"], ["stats"],
        ]
        for arguments in bad { try await bench.fail(arguments, status: 2) }
        let server = ["server", "--store", bench("s"), "--capacity", "1GiB", "--listen"]
        for address in [
            ":0", "[::1:0", "::1]:0", "::1:0", "[]:0", "[a]:0", "127.0.0.1:+0", "127.0.0.1:-0", "a:", "a:65536",
        ] {
            try await bench.fail(server + [address], status: 2)
        }
        let zero = try await bench.fail(["server", "--store", bench("s"), "--capacity", "0"], status: 2)
        #expect(!zero.contains("Missing"), "\(zero)")
        #expect(!FileManager.default.fileExists(atPath: bench("s")))
    }

    /// What is wrong with a verb's options is told with that verb's usage.
    @Test func usageIsThatOfTheVerb() async throws {
        let bench = try await Workbench()
        let error = try await bench.fail(
            ["push", "file:x", "acme/a:1", "--compression", "77", "--l3", bench.l3, "--keyring", bench.keyring],
            status: 2)
        #expect(error.contains("Usage: layercache push "), "\(error)")
        #expect(error.contains("'layercache push --help'"), "\(error)")
    }

    @Test func versionIsOneLine() async throws {
        let bench = try await Workbench(tenants: [])
        let version = try await bench.succeed(["--version"])
        #expect(version.hasSuffix("\n"), "\(version)")
        #expect(version.split(separator: ".").count == 3, "\(version)")
    }

    @Test func bracketsStayAroundAnIPv6Address() async throws {
        let bench = try await Workbench()
        let server = try bench.start([
            "server", "--store", bench("s"), "--capacity", "64MiB", "--listen", "[::1]:0", "--json",
        ])
        let listen = try names(try await server.firstLine())["listen"] as? String ?? ""
        #expect(listen.hasPrefix("[::1]:"), "\(listen)")
        #expect(try names(try await bench.succeed(["stats", "--l2", "http://\(listen)"]))["disk"] != nil)
        let taken = try await bench.fail([
            "server", "--store", bench("t"), "--capacity", "64MiB", "--listen", listen, "--quiet",
        ])
        #expect(taken.contains("cannot listen on \(listen):"), "\(taken)")
        server.signal(SIGTERM)
        #expect(try await server.wait().status == 0)
    }

    @Test func workersKeyringTakesNoDeploymentKey() async throws {
        let bench = try await Workbench()
        let before = try bench.bytes(bench.keyring)
        let error = try await bench.fail(["keygen", "other", "--worker", "--keyring", bench.keyring])
        #expect(error.contains("has a deployment key"), "\(error)")
        #expect(try bench.bytes(bench.keyring) == before)
        try await bench.succeed(["keygen", "other", "--worker", "--keyring", bench("worker.json")])
        try await bench.succeed(["keygen", "more", "--worker", "--keyring", bench("worker.json")])
    }

    /// An empty variable hides nothing that is below it.
    @Test func emptyVariablesAreNotSet() async throws {
        let bench = try await Workbench()
        try await bench.shell("echo content > f")
        try bench.write(
            Data("{\"l3\": \"\(bench.l3)\", \"keyring\": \"\(bench.keyring)\"}".utf8), bench("c.json"))
        let push = ["push", "file:\(bench("f"))", "acme/f:1"]
        try await bench.succeed(
            push + ["--config", bench("c.json")],
            environment: ["LAYERCACHE_L3": "", "LAYERCACHE_KEYRING": "", "LAYERCACHE_COMPRESSION": ""])
        try await bench.succeed(
            push + ["--l3", bench.l3, "--keyring", bench.keyring], environment: ["LAYERCACHE_CONFIG": ""])
        try await bench.fail(push, environment: ["LAYERCACHE_L3": "", "LAYERCACHE_KEYRING": bench.keyring], status: 2)
    }

    @Test func compressionComesFromTheEnvironmentAndAFile() async throws {
        let bench = try await Workbench()
        try await bench.shell("head -c 100000 /dev/zero | tr '\\0' x > f")
        try bench.write(Data("{\"compression\": \"none\"}".utf8), bench("c.json"))
        let push = ["push", "file:\(bench("f"))", "acme/f:1", "--keyring", bench.keyring, "--json", "--l3"]
        func uploaded(_ text: String) throws -> Int {
            try #require((try names(text)["bytes"] as? [String: Any])?["uploaded"] as? Int)
        }
        let none = ["--config", bench("c.json")]
        #expect(try uploaded(try await bench.succeed(push + [bench("a")])) < 100_000)
        #expect(try uploaded(try await bench.succeed(push + [bench("b")] + none)) == 100_000)
        let level = ["LAYERCACHE_COMPRESSION": "3"]
        #expect(try uploaded(try await bench.succeed(push + [bench("c")] + none, environment: level)) < 100_000)
        try await bench.fail(push + [bench("d")], environment: ["LAYERCACHE_COMPRESSION": "77"], status: 2)
    }

    /// Output that could not be written must not look like success.
    @Test func answerThatCannotBeWrittenIsAnError() async throws {
        let bench = try await Workbench()
        try await bench.shell("echo x > f")
        try await bench.push("file:\(bench("f"))", "acme/f:1")
        let pull = bench.pullArguments("acme/f:1", "file:\(bench("g"))").map { "'\($0)'" }.joined(separator: " ")
        let status = try await bench.shell(
            "set +e; '\(Workbench.binary)' \(pull) > /dev/full 2> error; echo $?; wc -l < error")
        #expect(status == "1\n1\n")
    }

    @Test func badReferencesAreRefused() async throws {
        let bench = try await Workbench()
        try await bench.shell("echo x > f")
        let common = ["--l3", bench.l3, "--keyring", bench.keyring]
        let refs = [
            "", "acme", "acme/", "acme/a:", "/a:1", "acme/../a:1", "acme/a:../../x", "../acme/a:1", "acme/a:1/2",
            "ACME/a:1",
            "acme/a~b:1", "acme//a:1", "acme/a:1\n", "acme/ä:1", "acme/\(String(repeating: "x", count: 5000)):1",
            "acme/.:1", "acme/a:.",
        ]
        for ref in refs {
            try await bench.fail(["push", "file:\(bench("f"))", ref] + common)
            try await bench.fail(["pull", ref, "file:\(bench("g"))"] + common)
        }
        for source in [
            "", "f", "file:", "nonsense:x", "oci:", "oci::tag", "tar:\(bench("missing"))", "dir:\(bench("f"))",
            "file:\(bench.path)",
        ] {
            try await bench.fail(["push", source, "acme/a:1"] + common)
        }
        #expect(!bench.files(below: bench.l3).contains { $0.contains("/refs/") })
    }
}
