import Foundation
import TestSupport
import Testing

/// What reaches standard output and standard error, and what happens where it does not.
@Suite struct TerminalTests {
    /// The binary with arguments, for a shell.
    private func command(_ arguments: [String]) throws -> String {
        try ([Workbench.binary] + arguments).map { "'\($0)'" }.joined(separator: " ")
    }

    /// Full disk, closed descriptor, closed pipe: the exit status is all that is left to say it with.
    @Test func errorsThatNobodyCanReadKeepTheirStatus() async throws {
        let bench = try await Workbench()
        for (arguments, status) in [(["nonsense"], 2), (["ls", "--l3", bench("nowhere")], 1)] {
            for redirection in ["2>/dev/full", "2>&-", "<&- >&- 2>&-", "2>/dev/full >/dev/full"] {
                let text = try await bench.shell("{ \(command(arguments)) \(redirection); } || echo $?")
                #expect(text == "\(status)\n", "\(arguments) \(redirection)")
            }
            let closed = try await bench.python(
                """
                import subprocess
                r, w = os.pipe()
                os.close(r)
                print(subprocess.run(\([Workbench.binary] + arguments), stderr=w).returncode)
                """)
            #expect(closed == "\(status)\n", "\(arguments)")
        }
    }

    /// No file of a store may become standard output.
    @Test func closedDescriptorsAreNotReused() async throws {
        let bench = try await Workbench()
        try await bench.shell("head -c 3000000 /dev/urandom > f")
        try await bench.push("file:\(bench("f"))", "acme/f:1")
        let pull = bench.pullArguments("acme/f:1", "file:\(bench("g"))") + ["--l1", bench.l1]
        #expect(try await bench.shell("{ \(command(pull)) <&- >&- 2>&-; } || echo $?") == "1\n")
        #expect(try await bench.same(bench("f"), bench("g")))
        let again = try await bench.pull("acme/f:1", "file:\(bench("h"))", ["--l1", bench.l1])
        #expect(again.repaired.l1 == 0)
        #expect(again.tiers.l3.chunks == 0)
    }

    @Test func outputThatCannotBeWrittenIsAnError() async throws {
        let bench = try await Workbench()
        try await bench.shell("echo x > f")
        try await bench.push("file:\(bench("f"))", "acme/f:1")
        let common = ["--l3", bench.l3, "--keyring", bench.keyring]
        try await bench.succeed(["pull", "acme/f:1", "file:\(bench("g"))", "--l1", bench.l1] + common)
        let verbs = [
            ["push", "file:\(bench("f"))", "acme/f:1"] + common, ["pull", "acme/f:1", "file:\(bench("g"))"] + common,
            ["ls"] + common, ["inspect", "acme/f:1"] + common, ["verify", "acme/f:1"] + common,
            ["keygen", "other", "--keyring", bench.keyring], ["stats", "--l1", bench.l1], ["--help"],
            ["pull", "--help"],
            ["--version"],
        ]
        for verb in verbs {
            let text = try await bench.shell("{ \(command(verb)) >/dev/full 2>error; } || echo $?; wc -l < error")
            #expect(text == "1\n1\n", "\(verb)")
        }
    }

    @Test func strangersNamesAreNotObeyed() async throws {
        let bench = try await Workbench()
        try await bench.python(
            """
            import io, json, tarfile
            name = '\\x1b]0;owned\\x07\\x1b[2J\\x9b31m\\x7f/layer.tar'
            layer = tar([('a', b'a')])
            config = json.dumps({'rootfs': {'type': 'layers', 'diff_ids': ['sha256:' + sha(layer)]}}).encode()
            manifest = json.dumps([{'Config': 'c.json', 'RepoTags': ['a:1'], 'Layers': [name]}]).encode()
            with tarfile.open('image.tar', 'w') as t:
                for path, data in [('c.json', config), (name, layer), ('manifest.json', manifest)]:
                    info = tarfile.TarInfo(path)
                    info.size = len(data)
                    t.addfile(info, io.BytesIO(data))
            """)
        try await bench.push("docker-archive:\(bench("image.tar"))", "acme/a:1")
        let common = ["--l3", bench.l3, "--keyring", bench.keyring]
        let table = try await bench.succeed(["inspect", "acme/a:1"] + common)
        #expect(isPlain(table), "\(table.debugDescription)")
        #expect(table.contains("?]0;owned"), "\(table.debugDescription)")
        let message = try await bench.fail(["push", "tar:\(bench("\u{1B}[31m\nred"))", "acme/a:1"] + common)
        #expect(isPlain(message), "\(message.debugDescription)")
    }

    private func isPlain(_ text: String) -> Bool {
        text.unicodeScalars.allSatisfy { $0 == "\n" || ($0.value >= 0x20 && !(0x7F...0x9F).contains($0.value)) }
    }

    /// `pull ... tar:/dev/stdout | sha256sum` is of the tar alone.
    @Test(arguments: [[], ["--json"]]) func outputHoldsOnlyWhatIsPulledIntoIt(_ more: [String]) async throws {
        let bench = try await Workbench()
        try await bench.python("write('in.tar', tar([('a', noise(1, 700000))]))")
        try await bench.push("tar:\(bench("in.tar"))", "acme/a:1")
        let pull =
            ["pull", "acme/a:1", "tar:/dev/stdout", "--l3", bench.l3, "--keyring", bench.keyring] + more
        try await bench.shell("\(command(pull)) 2>summary | cat > out.tar")
        #expect(try await bench.same(bench("in.tar"), bench("out.tar")))
        let summary = String(decoding: try bench.bytes(bench("summary")), as: UTF8.self)
        #expect(summary.contains(more.isEmpty ? "tier " : "\"tiers\":"), "\(summary)")
    }

    /// As `pull ... tar:/dev/stdout > out.tar` does; the link to standard output must not become the file.
    @Test(arguments: ["tar", "file"]) func outputThatIsAFileIsFilled(_ form: String) async throws {
        let bench = try await Workbench()
        try await bench.python("write('in', tar([('a', noise(1, 700000))])); os.symlink('/proc/self/fd/1', 'link')")
        try await bench.push("\(form):\(bench("in"))", "acme/a:1")
        let pull = ["pull", "acme/a:1", "\(form):\(bench("link"))", "--l3", bench.l3, "--keyring", bench.keyring]
        try await bench.shell("\(command(pull)) > out 2>/dev/null")
        #expect(try await bench.same(bench("in"), bench("out")))
        #expect(
            try await bench.shell("readlink link; ls -A | grep -cE 'partial|layercache' || :") == "/proc/self/fd/1\n0\n"
        )
    }

    @Test(arguments: ["tar", "file"]) func aLinkThatLeadsNowhereIsRefused(_ form: String) async throws {
        let bench = try await Workbench()
        try await bench.python("write('in', tar([('a', b'content')])); os.symlink('nowhere', 'link')")
        try await bench.push("\(form):\(bench("in"))", "acme/a:1")
        let line = try await bench.fail(bench.pullArguments("acme/a:1", "\(form):\(bench("link"))"))
        #expect(line.contains("link"), "\(line)")
        #expect(line.contains("leads nowhere"), "\(line)")
        #expect(try await bench.shell("readlink link") == "nowhere\n")
    }

    private static let hasTerminals: Bool = {
        let leader = open("/dev/ptmx", O_RDWR | O_NOCTTY)
        defer { close(leader) }
        return leader >= 0
    }()

    /// A line that wraps cannot be drawn over.
    @Test(.enabled(if: hasTerminals, "there is no pseudo terminal to be had"))
    func progressFitsTheTerminal() async throws {
        let bench = try await Workbench()
        // The pull's output pipe is read only after it has drawn its line, so that it cannot be done before that.
        try await bench.python("write('in.tar', tar([('a', noise(2, 3000000))])); os.mkfifo('out')")
        try await bench.push("tar:\(bench("in.tar"))", "acme/a:1")
        let words = [
            try Workbench.binary, "pull", "acme/a:1", "tar:\(bench("out"))", "--l3", bench.l3, "--keyring",
            bench.keyring,
        ]
        let pull = try await bench.python(
            """
            import fcntl, pty, struct, subprocess, termios
            leader, follower = pty.openpty()
            fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack('HHHH', 24, 30, 0, 0))
            p = subprocess.Popen(\(words), stdout=subprocess.DEVNULL, stderr=follower)
            os.close(follower)
            pipe = open('out', 'rb')
            seen = b''
            same = None
            while True:
                try:
                    some = os.read(leader, 65536)
                except OSError:
                    break
                if not some: break
                seen += some
                if b'/s)' in seen and same is None: same = pipe.read() == open('in.tar', 'rb').read()
            lines = seen.split(b'\\r\\x1b[K')
            print(p.wait(), same, len(lines) > 1, max(len(l) for l in lines) in range(20, 30))
            """)
        #expect(pull == "0 True True True\n")
    }

    @Test func verifyNamesEveryProblem() async throws {
        let bench = try await Workbench()
        try await bench.python("write('in', noise(3, 3000000))")
        try await bench.push("file:\(bench("in"))", "acme/f:1")
        try await bench.shell("find l3 -path '*/chunks/*' -type f | sort | head -3 | xargs rm")
        let outcome = try await bench.run(["verify", "acme/f:1", "--l3", bench.l3, "--keyring", bench.keyring])
        #expect(outcome.status == 1)
        #expect(outcome.errorLines.count == 1)
        #expect(outcome.error.contains("(and 2 more)"))
        #expect(outcome.output.split(separator: "\n").count == 3, "\(outcome.output)")
    }
}
