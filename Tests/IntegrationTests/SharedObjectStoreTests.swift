import Foundation
import Glibc
import TestSupport
import Testing

/// One L3 that several users write to, and what others have left in it.
@Suite struct SharedObjectStoreTests {
    @Test(.enabled(if: Workbench.isRoot && BuiltProgram.isInstalled("setpriv"))) func usersOfOneGroupPushAndPull()
        async throws
    {
        let bench = try await Workbench()
        // Content of both: each replaces the other's ref, and stores a chunk where the other has made the directory.
        let said = try await bench.shell(
            """
            LC=./lc; cp '\(Workbench.binary)' lc; chmod 755 . lc; head -c 3000000 /dev/urandom > common
            mkdir store; chgrp 4000 store; chmod 2775 store; umask 002
            as() { user=$1; shift; setpriv --reuid $user --regid 4000 --clear-groups "$@"; }
            for user in 3001 3002; do
                cp keys.json keys-$user; chown $user keys-$user; chmod 600 keys-$user; mkdir home-$user; \
            chown $user home-$user
                head -c 3000000 /dev/urandom > own-$user; chmod 644 own-$user common
            done
            for round in 1 2; do for user in 3001 3002; do
                P="--l3 store --keyring keys-$user --quiet"
                as $user $LC push file:common acme/common:1 $P; as $user $LC push file:own-$user acme/shared:1 $P
                as $user $LC push file:own-$user acme/shared:1 $P --repair
                as $user $LC pull acme/shared:1 file:home-$user/out $P; cmp own-$user home-$user/out
            done; done
            as 3001 $LC verify acme/common:1 --l3 store --keyring keys-3001 --quiet
            find store -type d ! -perm 2775; find store -type f ! -perm 664; find store ! -group 4000; ls -A store/.tmp
            """)
        #expect(said.isEmpty, "\(said)")
    }

    @Test func aPrivateUmaskKeepsAStorePrivate() async throws {
        let bench = try await Workbench()
        let said = try await bench.shell(
            """
            LC='\(Workbench.binary)'; P="--l3 deep/er/store --keyring keys.json --quiet"; umask 077; echo x > f
            $LC push file:f acme/a:1 $P; $LC push file:f acme/a:1 $P; $LC pull acme/a:1 file:out $P
            find deep out -type d ! -perm 700; find deep out -type f ! -perm 600
            umask 027; rm -r deep; $LC push file:f acme/a:1 $P; $LC pull acme/a:1 file:out $P; \
            $LC pull acme/a:1 file:more $P
            find deep -type d ! -perm 750; find deep out more -type f ! -perm 640
            stat -c %a keys.json; umask 0; $LC keygen beta --keyring keys.json --quiet; stat -c %a keys.json
            """)
        #expect(said == "600\n600\n", "\(said)")
    }

    /// What another user has left in the area of temporary files is his to remove.
    @Test(.enabled(if: Workbench.isRoot && BuiltProgram.isInstalled("setpriv"))) func leftoversOfAnotherUser()
        async throws
    {
        let bench = try await Workbench()
        let said = try await bench.shell(
            """
            LC=./lc; cp '\(Workbench.binary)' lc; chmod 755 . lc; echo x > f; chmod 644 f
            mkdir -p store/.tmp; chmod 777 store; chmod 1777 store/.tmp; touch store/.tmp/dead.lock store/.tmp/dead.1 \
            store/.tmp/none.1
            chmod 600 store/.tmp/*; cp keys.json k; chown 3001 k; chmod 600 k
            setpriv --reuid 3001 --regid 4000 --clear-groups $LC push file:f acme/a:1 --l3 store --keyring k --quiet; \
            ls store/.tmp
            """)
        #expect(said == "dead.1\ndead.lock\nnone.1\n", "\(said)")
    }

    @Test(.enabled(if: Workbench.isRoot && BuiltProgram.isInstalled("setpriv"))) func oneThatMayNotBeReadHidesNoOther()
        async throws
    {
        let bench = try await Workbench()
        try await bench.shell("echo x > f; cp '\(Workbench.binary)' lc; chmod 755 . lc")
        for name in ["a", "b", "c"] { try await bench.push("file:\(bench("f"))", "acme/\(name):1") }
        for (place, others) in [("l3/refs/acme/b", ["acme/a:1", "acme/c:1"]), ("l3/refs/acme", [])] {
            let outcome = try await bench.shell(
                """
                chmod 0 \(place)
                setpriv --reuid 4001 --regid 4001 --clear-groups ./lc ls --l3 l3 2>&1 && echo wrong; chmod 755 \(place)
                """)
            for other in others { #expect(outcome.contains("\(other) "), "\(outcome)") }
            #expect(outcome.contains("\(place.dropFirst(3))/"), "\(outcome)")
            #expect(outcome.contains("Permission denied"), "\(outcome)")
            #expect(!outcome.contains("wrong"))
        }
    }

    @Test func oneBadRefHidesNoOther() async throws {
        let bench = try await Workbench()
        try await bench.shell("echo x > f")
        for number in 1...3 { try await bench.push("file:\(bench("f"))", "acme/app\(number):1") }
        let all = try await bench.succeed(["ls", "--l3", bench.l3])
        #expect(all.split(separator: "\n").count == 4)
        let newer = """
            import hashlib; b = bytearray(open('l3/refs/acme/app3/1', 'rb').read()); b[4] = 2
            b[56:] = hashlib.sha256(bytes(b[:56])).digest()[:8]; open('l3/refs/acme/app2/1', 'wb').write(b)
            """
        for (what, damage) in [
            ("empty", ": > l3/refs/acme/app2/1"), ("cut", "truncate -s 20 l3/refs/acme/app2/1"),
            ("newer", "python3 -c \"\(newer)\""),
            ("a directory", "rm -r l3/refs/acme/app2/1; mkdir -p l3/refs/acme/app2/1/x; touch l3/refs/acme/app2/1/x/y"),
            ("a link", "rm -r l3/refs/acme/app2/1; ln -s /etc/passwd l3/refs/acme/app2/1"),
            ("a link to nowhere", "ln -sf /nonexistent l3/refs/acme/app2/1"),
            ("a pipe", "rm l3/refs/acme/app2/1; mkfifo l3/refs/acme/app2/1"),
            ("a tenant that is a link", "rm -r l3/refs/acme/app2; ln -s /etc l3/refs/beta"),
        ] {
            try await bench.shell(damage)
            for more in [[], ["acme"]] where more.isEmpty || !what.hasPrefix("a tenant") {
                let line = try await bench.fail(["ls", "--l3", bench.l3] + more)
                let outcome = try await bench.run(["ls", "--l3", bench.l3] + more)
                #expect(outcome.output.contains("acme/app1:1 "), "\(what)")
                #expect(outcome.output.contains("acme/app3:1 "), "\(what)")
                #expect(line.contains("refs/"), "\(what): \(line)")
            }
            let json = try await bench.run(["ls", "--l3", bench.l3, "--json"])
            let report = try JSONDecoder().decode(Listing.self, from: Data(json.output.utf8))
            #expect(json.status == 1, "\(what): \(json.output)")
            #expect(report.refs.count == 2, "\(what): \(json.output)")
            #expect(report.problems.count == 1, "\(what): \(json.output)")
            if what == "newer" {
                let line = try await bench.fail([
                    "push", "file:\(bench("f"))", "acme/app2:1", "--l3", bench.l3, "--keyring", bench.keyring,
                ])
                #expect(line.contains("newer"), "\(line)")
                #expect(line.contains("acme/app2:1"), "\(line)")
            } else if what == "empty" || what == "cut" {
                try await bench.push("file:\(bench("f"))", "acme/app2:1")
                try await bench.succeed(["ls", "--l3", bench.l3])
            }
        }
    }

    private struct Listing: Decodable {
        struct Ref: Decodable { let ref: String }
        struct Problem: Decodable { let ref: String, problem: String }
        let refs: [Ref]
        let problems: [Problem]
    }
}
