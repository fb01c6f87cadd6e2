import Foundation
import TestSupport
import Testing

/// Single layers of every kind come back byte for byte.
@Suite struct LayerTruthTests {
    @Test(arguments: ["USTAR_FORMAT", "GNU_FORMAT", "PAX_FORMAT"])
    func tarOfEveryFormatIsExact(_ format: String) async throws {
        let bench = try await Workbench()
        try await bench.python(
            """
            out = io.BytesIO(tar([('a/b', noise(1, 700000)), ('long/' + 'x' * 80 + '/y', text(2, 1000)), ('empty', \
            b'')], tarfile.\(format)))
            with tarfile.open(fileobj=out, mode='a', format=tarfile.\(format)) as t:
                for kind, name, target in [(tarfile.SYMTYPE, 'link', '../b'), (tarfile.LNKTYPE, 'hard', 'a/b'), \
            (tarfile.CHRTYPE, 'null', ''), (tarfile.FIFOTYPE, 'pipe', '')]:
                    i = tarfile.TarInfo(name); i.type = kind; i.linkname = target; i.devmajor = 1; i.devminor = 3; \
            t.addfile(i)
                if '\(format)' != 'USTAR_FORMAT':
                    i = tarfile.TarInfo('n' * 200 + '/' + 'm' * 100); i.size = 5; t.addfile(i, io.BytesIO(b'12345'))
                if '\(format)' == 'PAX_FORMAT':
                    i = tarfile.TarInfo('attributes'); i.pax_headers = {'SCHILY.xattr.user.a': 'b', 'mtime': '1.5'}; \
            t.addfile(i)
            write('in.tar', out.getvalue())
            """)
        try await bench.push("tar:\(bench("in.tar"))", "acme/t:1")
        try await bench.pull("acme/t:1", "tar:\(bench("out.tar"))")
        #expect(try await bench.same(bench("in.tar"), bench("out.tar")))
    }

    @Test(arguments: ["v7", "oldgnu", "gnu", "ustar", "posix"])
    func tarOfGNUTarIsExact(_ format: String) async throws {
        let bench = try await Workbench()
        try await bench.shell(
            """
            mkdir -p t/d && head -c 600000 /dev/urandom > t/d/big && echo x > t/d/small && ln t/d/small t/hard && ln \
            -s d/small t/soft
            truncate -s 3M t/holes && echo end >> t/holes
            sparse=; case \(format) in gnu|oldgnu|posix) sparse=--sparse;; esac
            tar --format=\(format) $sparse -C t -cf in.tar .
            gzip -k in.tar
            """)
        try await bench.push("tar:\(bench("in.tar.gz"))", "acme/t:1")
        try await bench.pull("acme/t:1", "tar:\(bench("out.tar"))")
        #expect(try await bench.same(bench("in.tar"), bench("out.tar")))
    }

    @Test func tarWithOddEndsIsExact() async throws {
        let bench = try await Workbench()
        try await bench.python(
            """
            one = tar([('a', text(1, 5000))])
            write('0.tar', one.rstrip(bytes(1)) + bytes(-len(one.rstrip(bytes(1))) % 512))
            write('1.tar', one[:-512] if len(one) % 1024 == 0 else one)
            write('2.tar', one + bytes(100000))
            write('3.tar', one + noise(7, 4000))
            write('4.tar', bytes(10240))
            """)
        for index in 0..<5 {
            try await bench.push("tar:\(bench("\(index).tar"))", "acme/t:\(index)")
            try await bench.pull("acme/t:\(index)", "tar:\(bench("\(index).out"))")
            #expect(try await bench.same(bench("\(index).tar"), bench("\(index).out")), "tar \(index)")
        }
    }

    @Test(arguments: [0, 1, 511, 524_287, 524_288, 524_289, 1_500_001])
    func rawFileIsExact(_ size: Int) async throws {
        let bench = try await Workbench()
        try await bench.shell("head -c \(size) /dev/urandom > in")
        let answer = try await bench.push("file:\(bench("in"))", "acme/f:1")
        #expect(answer.bytes.logical == size)
        let pulled = try await bench.pull("acme/f:1", "file:\(bench("out"))")
        #expect(pulled.bytes == size)
        #expect(try await bench.same(bench("in"), bench("out")))
    }

    @Test func rawFileWithHolesIsExactAndStaysSparse() async throws {
        let bench = try await Workbench()
        try await bench.shell(
            "truncate -s 20M in; echo middle | dd of=in bs=1 seek=7000001 conv=notrunc status=none; echo end >> in")
        let answer = try await bench.push("file:\(bench("in"))", "acme/f:1")
        #expect(answer.chunks.zero >= 37)
        #expect(answer.bytes.uploaded < 100_000)
        try await bench.pull("acme/f:1", "file:\(bench("out"))")
        #expect(try await bench.same(bench("in"), bench("out")))
    }

    /// What is no regular file is written, not replaced: `file:/dev/stdout` as root must leave the device where it is.
    @Test func pipeIsWrittenAndStaysOne() async throws {
        let bench = try await Workbench()
        try await bench.shell("head -c 1500001 /dev/urandom > in; mkfifo pipe; ln -s pipe link; mkdir full")
        try await bench.push("file:\(bench("in"))", "acme/f:1")
        for name in ["pipe", "link"] {
            let writer = try bench.start(bench.pullArguments("acme/f:1", "file:\(bench(name))") + ["--quiet"])
            try await bench.shell("timeout 60 cat pipe > out")
            #expect(try await writer.wait().status == 0)
            #expect(try await bench.same(bench("in"), bench("out")))
            try await bench.shell("test -p pipe && test -L link")
        }
        let line = try await bench.fail(bench.pullArguments("acme/f:1", "file:\(bench("full"))"))
        #expect(line.contains("is a directory"), "\(line)")
    }

    @Test func zipGivesItsFilesBack() async throws {
        let bench = try await Workbench()
        try await bench.python(
            """
            with zipfile.ZipFile('in.zip', 'w') as z:
                z.writestr(zipfile.ZipInfo('function/'), b'')
                for i, (name, data) in enumerate([('function/main.py', text(1, 9000)), ('function/lib.so', noise(2, \
            800000)), ('empty', b'')]):
                    z.writestr(zipfile.ZipInfo(name), data, [zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED][i % 2])
            """)
        try await bench.push("zip:\(bench("in.zip"))", "acme/z:1")
        try await bench.pull("acme/z:1", "dir:\(bench("out"))")
        let same = """
            with zipfile.ZipFile('in.zip') as z:
                print(all(open('out/' + n, 'rb').read() == z.read(n) for n in z.namelist() if not n.endswith('/')))
            """
        #expect(try await bench.python(same) == "True\n")
        try await bench.pull("acme/z:1", "tar:\(bench("out.tar"))")
        #expect(try await bench.shell("tar -tf out.tar | wc -l") == "4\n")
    }

    @Test func treeComesBackWithModesAndLinks() async throws {
        let bench = try await Workbench()
        try await bench.shell(
            """
            mkdir -p in/d/e in/empty && head -c 700000 /dev/urandom > in/d/big && echo script > in/d/e/run && chmod \
            4755 in/d/e/run
            ln in/d/big in/hard && ln -s ../nowhere in/d/dangling && mkfifo in/pipe && chmod 700 in/empty && touch -d \
            @1234567890 in/d/e/run
            truncate -s 5M in/holes && touch 'in/name with $pecial "characters" ä'
            if [ $(id -u) = 0 ]; then chown 1234:4321 in/d/big; fi
            if command -v setfattr > /dev/null; then setfattr -n user.note -v kept in/d/big || true; fi
            """)
        try await bench.push("dir:\(bench("in"))", "acme/d:1")
        try await bench.pull("acme/d:1", "dir:\(bench("out"))")
        let list =
            "find . -printf '%P %y %m %U %G %s %T@ %l %n\\n' | sed -E 's/^( d [0-9]+ [0-9]+ [0-9]+) [0-9]+/\\1/; "
            + "s/( d [0-9]+ [0-9]+ [0-9]+) [0-9]+/\\1/' | sort"
        #expect(try await bench.shell("cd in && \(list)") == bench.shell("cd out && \(list)"))
        try await bench.shell("diff -r --no-dereference -x pipe in out && [ out/hard -ef out/d/big ]")
        try await bench.shell(
            "if command -v getfattr > /dev/null; then diff <(cd in && getfattr -d d/big) <(cd out && getfattr -d "
                + "d/big); fi"
        )
    }
}
