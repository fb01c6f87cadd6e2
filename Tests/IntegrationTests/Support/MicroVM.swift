import Foundation
import TestSupport
import Testing

/// A guest with Debian's kernel that Scripts/boot-image boots from a device.
enum MicroVM {
    /// What the script says of a run.
    struct Answer: Decodable {
        let accelerator: String
        let status: Int32
        let output: String
        let seconds: Double
    }

    private static let script: String? = #filePath.ranges(of: "/Tests/").last.map {
        "\(#filePath[..<$0.lowerBound])/Scripts/boot-image"
    }

    /// Whether this machine has QEMU, busybox, a kernel or the network to fetch one, and what makes images.
    static let isPossible: Bool = {
        guard let script, BuiltProgram.isInstalled("mkfs.erofs") else { return false }
        return (try? ChildProcess(script, ["--check"]).blockUntilEnd(atMost: 120).status) == 0
    }()

    /// Boots from `device`, a file or `nbd:unix:SOCKET`, and runs a command that must end with status 0.
    static func run(_ device: String, _ command: [String], _ options: [String] = []) async throws -> Answer {
        let script = try #require(script)
        let outcome = try await ChildProcess(
            script, ["--json", "--seconds", "200"] + options + [device, "--"] + command
        ).wait()
        return try JSONDecoder().decode(Answer.self, from: Data(try outcome.succeeded().utf8))
    }

    /// Makes `root` in the directory of a test: the machine's own Python, all that it needs to run, and busybox.
    static func makeRoot(_ bench: Workbench) async throws {
        try await bench.python(
            #"""
            import sys, sysconfig
            root = os.path.abspath('root')
            def take(path):
                if os.path.exists(root + path): return
                os.makedirs(os.path.dirname(root + path), exist_ok=True)
                shutil.copy(path, root + path)
            def libraries(path):
                out = subprocess.run(['ldd', path], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout
                return [w for w in out.split() if w.startswith('/')]
            stdlib = sysconfig.get_path('stdlib')
            programs = [os.path.realpath(sys.executable)]
            skipped = set('test idlelib lib2to3 ensurepip tkinter pydoc_data dist-packages site-packages'.split())
            for directory, names, files in os.walk(stdlib):
                names[:] = [n for n in names if n not in skipped and not n.startswith('config-')]
                for name in files:
                    if '.opt-' in name: continue
                    path = directory + '/' + name
                    take(path)
                    if name.endswith('.so'): programs.append(path)
            for program in programs:
                take(program)
                for library in libraries(program): take(library)
            os.makedirs(root + '/usr/bin', exist_ok=True)
            os.symlink(programs[0], root + '/usr/bin/python')
            take('/bin/busybox')
            for name in ('dev', 'proc', 'sys', 'tmp', 'data'): os.makedirs(root + '/' + name)
            write(root + '/data/noise', noise(1, 3_000_001))
            write(root + '/data/text', text(2, 70_000))
            """#)
    }

    /// What ``hashOfTree`` prints of a directory of a test.
    static func hash(of directory: String, _ bench: Workbench) async throws -> String {
        try bench.write(Data(hashOfTree.utf8), bench("hash.py"))
        return try await bench.shell("python3 hash.py \(directory)")
    }

    /// A program that prints one hash over names, kinds, modes, owners, times, targets and bytes of everything below a
    /// directory, in the order of names, without what guests mount.
    static let hashOfTree = #"""
        import hashlib, os, stat, sys
        def walk(path, name, seen):
            status = os.lstat(path)
            fields = [name, status.st_mode, status.st_uid, status.st_gid, int(status.st_mtime), status.st_nlink]
            body = b''
            if stat.S_ISLNK(status.st_mode): body = os.readlink(path).encode()
            elif stat.S_ISREG(status.st_mode):
                with open(path, 'rb') as file: body = file.read()
            hash.update(repr(fields).encode() + hashlib.sha256(body).digest())
            seen[0] += 1
            if stat.S_ISDIR(status.st_mode):
                for entry in sorted(os.listdir(path)): walk(path + '/' + entry, name + '/' + entry, seen)
        hash, seen = hashlib.sha256(), [0]
        for top in sorted(set(os.listdir(sys.argv[1] or '/')) - {'dev', 'proc', 'sys', 'tmp'}):
            walk(sys.argv[1] + '/' + top, top, seen)
        print(seen[0], hash.hexdigest())
        """#
}
