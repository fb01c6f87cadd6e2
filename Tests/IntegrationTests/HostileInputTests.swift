import Foundation
import TestSupport
import Testing

/// Input from outside that is cut off, wrong or made to harm: one line, status 1, and nothing outside the destination.
@Suite struct HostileInputTests {
    private func refuse(
        _ bench: Workbench, _ source: String, _ options: [String] = [], location: SourceLocation = #_sourceLocation
    ) async throws -> String {
        try await bench.fail(
            ["push", source, "acme/bad:1", "--l3", bench.l3, "--keyring", bench.keyring] + options, location: location)
    }

    /// Ends with 0 or with 1 and one line; never by a signal, never late.
    private func survive(_ bench: Workbench, _ source: String, _ what: String) async throws {
        let outcome = try await bench.run(
            ["push", source, "acme/any:1", "--l3", bench.l3, "--keyring", bench.keyring, "--quiet"])
        #expect(outcome.status == 0 || (outcome.status == 1 && outcome.errorLines.count == 1), "\(what): \(outcome)")
    }

    @Test func cutOffArchives() async throws {
        let bench = try await Workbench()
        try await bench.python(
            """
            one = tar([('a', noise(1, 30000)), ('b', text(2, 70000))])
            for i, n in enumerate([700, 20000, 40000]): write('cut%d.tar' % i, one[:n])
            write('cut.tar.gz', gzip.compress(one)[:9000])
            write('cut.tar.zst', zstd(one)[:9000])
            wrong = bytearray(gzip.compress(one)); wrong[-6] ^= 1; write('sum.tar.gz', wrong)
            z = io.BytesIO()
            with zipfile.ZipFile(z, 'w') as f: f.writestr('a', noise(1, 30000))
            write('cut.zip', z.getvalue()[:20000])
            bad = bytearray(z.getvalue()); bad[1000] ^= 1; write('sum.zip', bad)
            write('empty', b'')
            """)
        for name in ["cut0.tar", "cut1.tar", "cut2.tar", "cut.tar.gz", "cut.tar.zst", "sum.tar.gz"] {
            let line = try await refuse(bench, "tar:\(bench(name))")
            #expect(!line.contains("internal"), "\(line)")
        }
        for name in ["cut.zip", "sum.zip", "empty"] { _ = try await refuse(bench, "zip:\(bench(name))") }
        for kind in ["oci-archive", "docker-archive"] {
            for name in ["empty", "cut0.tar", "cut.tar.gz", "sum.zip"] {
                _ = try await refuse(bench, "\(kind):\(bench(name))")
            }
        }
        #expect(!bench.files(below: bench.l3).contains { $0.contains("/refs/") })
    }

    @Test func changedArchives() async throws {
        let bench = try await Workbench()
        let seed = Int.random(in: 0..<1_000_000)
        try await bench.python(
            """
            r = random.Random(\(seed))
            with tarfile.open('in.tar', 'w') as t:
                for i in range(5):
                    info = tarfile.TarInfo('d/' + 'n' * (90 * i)); info.size = 700; \
            t.addfile(info, io.BytesIO(noise(i, 700)))
            with zipfile.ZipFile('in.zip', 'w', zipfile.ZIP_DEFLATED) as f:
                for i in range(5): f.writestr('d/%d' % i, text(i, 900))
            for name in ['in.tar', 'in.zip']:
                whole = open(name, 'rb').read()
                for i in range(12):
                    b = bytearray(whole)
                    for _ in range(r.randint(1, 20)): b[r.randrange(len(b))] = r.randrange(256)
                    write('changed/%d.%s' % (i, name), b)
            """)
        for index in 0..<12 {
            try await survive(bench, "tar:\(bench("changed/\(index).in.tar"))", "seed \(seed), \(index)")
            try await survive(bench, "zip:\(bench("changed/\(index).in.zip"))", "seed \(seed), \(index)")
        }
    }

    @Test func layoutsThatLie() async throws {
        let bench = try await Workbench()
        try await bench.python(
            #"""
            def lie(name, change):
                image(name, [tar([('a', b'1')])])
                change(name)
            def index(d, **more):
                i = json.load(open(d + '/index.json')); i.update(more); write(d + '/index.json', json.dumps(i).encode())
            def manifest(d, edit):
                i = json.load(open(d + '/index.json'))
                m = json.load(open(d + '/blobs/sha256/' + i['manifests'][0]['digest'][7:]))
                edit(m)
                i['manifests'][0].update(put(d, json.dumps(m).encode())); write(d + '/index.json', \#
            json.dumps(i).encode())
            def digest(text): return lambda d: manifest(d, lambda m: m['layers'][0].update(digest=text))
            lie('json', lambda d: write(d + '/index.json', b'{"manifests": ['))
            lie('deep', lambda d: write(d + '/index.json', b'[' * 200000))
            lie('types', lambda d: index(d, manifests={'a': 1}))
            lie('none', lambda d: index(d, manifests=[]))
            lie('version', lambda d: index(d, schemaVersion=99, manifests=[5]))
            lie('huge', lambda d: write(d + '/index.json', b' ' * (20 << 20)))
            lie('escape', digest('sha256:../../../../../etc/passwd'))
            lie('short', digest('sha256:00'))
            lie('algorithm', digest('md5:' + '0' * 32))
            lie('missing', digest('sha256:' + '0' * 64))
            lie('size', lambda d: manifest(d, lambda m: m['layers'][0].update(size=5)))
            lie('negative', lambda d: manifest(d, lambda m: m['layers'][0].update(size=-1)))
            lie('large', lambda d: manifest(d, lambda m: m['layers'][0].update(size=1 << 62)))
            lie('many', lambda d: manifest(d, lambda m: m.update(layers=m['layers'] * 5000)))
            lie('media', lambda d: manifest(d, lambda m: m['layers'][0].update(mediaType='application/encrypted')))
            lie('config', lambda d: manifest(d, lambda m: m['config'].update(put(d, b'{}'))))
            lie('diff', lambda d: manifest(d, lambda m: m['config'].update(put(d, json.dumps({'rootfs': {'type': \#
            'layers', 'diff_ids': ['sha256:' + '1' * 64]}}).encode()))))
            def loop(d):
                i = json.load(open(d + '/index.json')); b = open(d + '/index.json', 'rb').read()
                i['manifests'][0] = dict(put(d, b), mediaType=M + 'index.v1+json'); write(d + '/index.json', \#
            json.dumps(i).encode())
            lie('link', lambda d: (os.remove(d + '/index.json'), os.symlink('/etc/passwd', d + '/index.json')))
            lie('pipe', lambda d: (os.remove(d + '/index.json'), os.mkfifo(d + '/index.json')))
            def blob(d):
                manifest(d, lambda m: None)
                for n in os.listdir(d + '/blobs/sha256'):
                    p = d + '/blobs/sha256/' + n; b = bytearray(open(p, 'rb').read()); b[0] ^= 1; write(p, b)
            lie('blob', blob)
            """#)
        for name in [
            "json", "deep", "types", "none", "version", "huge", "escape", "short", "algorithm", "missing", "size",
            "negative", "large", "many",
            "media", "config", "diff", "link", "pipe", "blob",
        ] {
            let line = try await refuse(bench, "oci:\(bench(name))")
            #expect(!line.contains("root:"), "\(name): \(line)")
            try await bench.shell("tar -C \(name) --exclude=./pipe -cf \(name).tar .")
            if name != "pipe", name != "link" { _ = try await refuse(bench, "oci-archive:\(bench("\(name).tar"))") }
        }
    }

    @Test func bombsAreStopped() async throws {
        let bench = try await Workbench()
        // What gzip does best passes by default, and zeros cost nothing: so bombs of letters, and lower limits.
        let options = ["--limit", "expansion=200", "--limit", "expansion-floor=32MiB"]
        try await bench.python(
            """
            info = tarfile.TarInfo('letters'); info.size = 60000000
            with gzip.open('tar.gz', 'wb') as f:
                f.write(info.tobuf())
                for _ in range(60): f.write(b'x' * 1000000)
                f.write(bytes(10240))
            with zipfile.ZipFile('bomb.zip', 'w', zipfile.ZIP_DEFLATED) as z: z.writestr('letters', b'x' * 60000000)
            """)
        for source in ["tar:\(bench("tar.gz"))", "zip:\(bench("bomb.zip"))"] {
            let line = try await refuse(bench, source, options)
            #expect(line.hasSuffix("raise it with --limit expansion=N\n"), "\(line)")
            try await survive(bench, source, "by default")
        }
    }

    @Test func trickyTarsStayInside() async throws {
        let bench = try await Workbench()
        try await bench.python(
            """
            def special(name, entries):
                with tarfile.open(name, 'w') as t:
                    for path, kind, target, data in entries:
                        i = tarfile.TarInfo(path); i.type = kind; i.linkname = target; i.size = len(data); \
            i.mode = 0o777
                        t.addfile(i, io.BytesIO(data))
            F, S, H = tarfile.REGTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE
            outside = os.getcwd() + '/outside'
            os.mkdir('outside'); write('outside/victim', b'untouched')
            special('up.tar', [('../outside/new', F, '', b'x')])
            special('deep.tar', [('a/../../outside/new', F, '', b'x')])
            special('absolute.tar', [(outside + '/new', F, '', b'x')])
            special('link.tar', [('l', S, outside, b''), ('l/new', F, '', b'x')])
            special('relative.tar', [('l', S, '../outside', b''), ('l/new', F, '', b'x')])
            special('chain.tar', [('a', S, '.', b''), ('a/b', S, '..', b''), ('a/b/outside/new', F, '', b'x')])
            special('over.tar', [('l', S, outside + '/victim', b''), ('l', F, '', b'overwritten')])
            special('hard.tar', [('h', H, '../outside/victim', b''), ('h', F, '', b'overwritten')])
            special('hardabs.tar', [('h', H, outside + '/victim', b'')])
            special('hardlink.tar', [('s', S, outside, b''), ('h', H, 's/victim', b''), ('h', F, '', b'overwritten')])
            special('swap.tar', [('d', tarfile.DIRTYPE, '', b''), ('d/x', F, '', b'1'), ('d', S, outside, b''), \
            ('d/new', F, '', b'x')])
            special('white.tar', [('l', S, outside, b''), ('l/.wh.victim', F, '', b'')])
            special('opaque.tar', [('l', S, outside, b''), ('l/.wh..wh..opq', F, '', b'')])
            special('wh.tar', [('.wh...', F, '', b''), ('.wh..', F, '', b''), ('.wh.', F, '', b'')])
            special('dot.tar', [('.', S, outside, b''), ('new', F, '', b'x')])
            special('chmod.tar', [('l', S, outside + '/victim', b''), ('l', tarfile.DIRTYPE, '', b'')])
            """)
        let before = try await bench.shell("ls -lR --time-style=full-iso outside")
        let names = try FileManager.default.contentsOfDirectory(atPath: bench.path).filter { $0.hasSuffix(".tar") }
        #expect(names.count == 16)
        for (index, name) in names.enumerated() {
            let pushed = try await bench.run(
                ["push", "tar:\(bench(name))", "acme/t:\(index)", "--l3", bench.l3, "--keyring", bench.keyring])
            #expect(pushed.status == 0 || (pushed.status == 1 && pushed.errorLines.count == 1), "\(name) \(pushed)")
            guard pushed.status == 0 else { continue }
            let outcome = try await bench.run(
                bench.pullArguments("acme/t:\(index)", "dir:\(bench("out\(index)"))") + ["--quiet"])
            #expect(outcome.status == 0 || (outcome.status == 1 && outcome.errorLines.count == 1), "\(name) \(outcome)")
            #expect(try await bench.shell("ls -lR --time-style=full-iso outside") == before, "\(name)")
            // The tar itself is truth whatever it says.
            try await bench.pull("acme/t:\(index)", "tar:\(bench("back"))")
            #expect(try await bench.same(bench(name), bench("back")))
        }
    }

    @Test func configurationFilesThatMakeNoSense() async throws {
        let bench = try await Workbench()
        try await bench.shell("echo x > f")
        let texts: [(String, String)] = [
            ("unknown", "{\"l4\": \"x\"}"), ("cut", "{\"l1\": \"x\""), ("list", "[1, 2]"),
            ("deep", String(repeating: "[", count: 100_000)),
            ("nested", "{\"l1\": {\"a\": {\"b\": 1}}}"), ("null", "{\"l1\": null}"), ("bool", "{\"l1\": true}"),
            ("empty", ""),
            ("size", "{\"l1\": \"\(bench.l1)\", \"l1-capacity\": \"a lot\"}"), ("binary", "\u{0}\u{1}\u{2}"),
            ("twice", "{\"l1\": \"a\", \"l1\": \"b\", \"l9\": 1}"),
            ("large", "{\"l1\": \"" + String(repeating: "x", count: 2 << 20) + "\"}"),
        ]
        for (name, text) in texts {
            try bench.write(Data(text.utf8), bench("\(name).json"))
            let outcome = try await bench.run(
                [
                    "pull", "acme/f:1", "file:\(bench("g"))", "--l3", bench.l3, "--keyring", bench.keyring, "--config",
                    bench("\(name).json"),
                ])
            #expect(outcome.status == (name == "size" ? 2 : 1), "\(name): \(outcome)")
            if name != "size" {
                #expect(outcome.errorLines.count == 1, "\(name): \(outcome)")
                #expect(outcome.error.contains("\(name).json"), "\(name): \(outcome)")
            }
        }
        let missing = try await bench.fail(["ls", "--l3", bench.l3, "--config", bench("nowhere.json")])
        #expect(missing.contains("nowhere.json"))
        for url in ["ftp://x", "s3://", "http://x", "file://host/x", "file:"] {
            try await bench.fail(["ls", "--l3", url])
        }
        for url in [
            "127.0.0.1:1", "ftp://x", "http://", "http://:::", "http://a b", "http://a:99999999999999999999",
            "http://a:",
        ] {
            let outcome = try await bench.run(["stats", "--l2", url])
            #expect(outcome.status == 1, "\(url): \(outcome)")
            #expect(outcome.errorLines.count == 1, "\(url): \(outcome)")
        }
    }
}
