import Foundation
import Testing

/// A name is taken as it is given, or refused; never another one.
@Suite struct NameTests {
    /// Runs a script with `$LC` and `$P`; what it prints.
    private func run(_ bench: Workbench, _ script: String) async throws -> String {
        try await bench.shell("LC='\(Workbench.binary)'; P='--l3 l3 --keyring keys.json --quiet'\n\(script)")
    }

    @Test func bytesThatAreNoUTF8AreRefused() async throws {
        let bench = try await Workbench()
        try await bench.shell("echo content > f")
        try await bench.push("file:\(bench("f"))", "acme/a:1")
        let said = try await run(
            bench,
            #"""
            printf precious > $'caf\xef\xbf\xbd'
            try() { set +e; "$@" > out 2> err; echo $?; set -e; [ -s err ]; ! LC_ALL=C grep -q $'\xe9' err; }
            try $LC pull acme/a:1 file:$'caf\xe9' $P
            try $LC pull acme/a:1 dir:$'d\xc0\xaf' $P
            try $LC push file:f acme/b:1 --l3 $'l3\xe9' --keyring keys.json
            try $LC push file:$'f\xe9' acme/b:1 $P
            try $LC push file:f $'acme/b\xe9:1' $P
            try $LC ls --l3 file:///l3%e9
            try $LC keygen beta --keyring $'k\xed\xa0\x80'
            LAYERCACHE_L3=$'l3\xe9' try $LC ls
            LAYERCACHE_KEYRING=$'k\xe9' try $LC keygen beta
            printf '{"l3": "l3\xe9"}' > config; try $LC ls --config config
            try $LC $'l\xe9' --l3 l3
            LC_ALL=C ls | LC_ALL=C sort | LC_ALL=C tr -c 'a-z0-9.\n' '?' | tr '\n' ' '; cat $'caf\xef\xbf\xbd'
            """#)
        let lines = said.split(separator: "\n")
        #expect(lines.dropLast().allSatisfy { $0 == "2" || $0 == "1" }, "\(said)")
        #expect(lines.filter { $0 == "1" }.count <= 2, "\(said)")
        #expect(lines.last == "caf??? config err f keys.json l3 out precious", "\(said)")
    }

    @Test func otherNamesAreTakenAsTheyAre() async throws {
        let bench = try await Workbench()
        try await bench.shell("echo content > f")
        try await bench.push("file:\(bench("f"))", "acme/a:1")
        let names = [
            "\u{E9}", "e\u{301}", "\u{FFFD}", "a b", "-x", "a:b", "a%20b", "\u{301}x", "new\nline", "\u{1F600}", "a\\b",
            "'\"", "$(x)",
        ]
        for (number, name) in names.enumerated() {
            try await bench.pull("acme/a:1", "file:\(bench.path)/\(name)")
            #expect(try bench.bytes(bench(name)) == Data("content\n".utf8), "\(name.debugDescription)")
            try await bench.push("file:\(bench.path)/\(name)", "acme/n\(number):1")
            try await bench.shell("mkdir dirs")
            try await bench.succeed([
                "push", "file:\(bench("f"))", "acme/b:1", "--l3", "\(bench.path)/dirs/\(name)", "--keyring",
                bench.keyring,
            ])
            #expect(FileManager.default.fileExists(atPath: "\(bench.path)/dirs/\(name)/refs/acme/b/1"))
            #expect(try FileManager.default.contentsOfDirectory(atPath: bench("dirs")).count == 1)
            try await bench.shell("rm -r dirs")
        }
        // Each is another file.
        let all = try FileManager.default.contentsOfDirectory(atPath: bench.path)
        #expect(all.count == names.count + 4, "\(all)")
    }

    /// The directory that one stands in may have any name.
    @Test func aWorkingDirectoryWithAnyName() async throws {
        let bench = try await Workbench()
        try await bench.shell("echo content > f")
        try await bench.push("file:\(bench("f"))", "acme/a:1")
        let said = try await run(
            bench,
            #"""
            P="--l3 $PWD/l3 --keyring $PWD/keys.json --quiet"; mkdir $'caf\xe9'; cd $'caf\xe9'
            echo old > there; ln -s there link; ln -s $'\xe9' odd; echo kept > $'\xe9'
            for name in there new link; do $LC pull acme/a:1 file:$name $P; done; cat there new link; readlink link
            $LC pull acme/a:1 tar:odd $P 2>/dev/null || echo refused; cat $'\xe9'
            $LC keygen acme --keyring here.json --quiet; ln -s here.json keys; $LC keygen beta --keyring keys --quiet
            grep -c name here.json; readlink keys; ls | wc -l
            """#)
        #expect(said == "content\ncontent\ncontent\nthere\nrefused\nkept\n2\nhere.json\n7\n", "\(said)")
    }

    @Test func whatOnlyLooksLikeAPathIsRefused() async throws {
        let bench = try await Workbench()
        try await bench.shell("echo content > f")
        for place in [
            "file:x", "file:/x", "file://host/x", "FILE://x", "s3:b", "http://h/x", "gs://b/x", "file:///%zz",
        ] {
            let line = try await bench.fail(
                ["push", "file:\(bench("f"))", "acme/a:1", "--l3", place, "--keyring", bench.keyring])
            #expect(line.contains(place), "\(line)")
        }
    }

    @Test func aLinkThatLeadsNowhereIsTheCause() async throws {
        let bench = try await Workbench()
        try await bench.shell("ln -s /nonexistent-volume/keys.json link; ln -s loop loop; echo content > f")
        for link in ["link", "loop"] {
            for arguments in [
                ["keygen", "x", "--keyring", bench(link)],
                ["push", "file:\(bench("f"))", "acme/a:1", "--l3", bench.l3, "--keyring", bench(link)],
            ] {
                let line = try await bench.fail(arguments)
                #expect(line.contains("symbolic link"), "\(line)")
                #expect(line.contains(bench(link)), "\(line)")
                if link == "link" { #expect(line.contains("/nonexistent-volume/keys.json"), "\(line)") }
            }
        }
    }
}
