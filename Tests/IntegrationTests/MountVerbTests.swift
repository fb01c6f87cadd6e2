import Foundation
import TestSupport
import Testing

/// `mount` and `unmount` as people and scripts call them.
@Suite(.enabled(if: WorkerHost.canMount, Comment(rawValue: WorkerHost.needs)), .serialized)
struct MountVerbTests {
    @Test("in a pipeline, with relative paths, the verb ends, and the worker that it started stays in no directory")
    func pipeline() async throws {
        let bench = try await WorkerHost()
        let target = try bench.target("with space")
        let script = """
            cd "$1" && "$2" mount acme/app 'with space/' --json --socket "$3" --l1 ../l1 --l3 ../l3 \
                --keyring ../keys.json | cat
            """
        let outcome = try await ChildProcess(
            "/bin/sh", ["-c", script, "sh", bench.bench("targets"), try Workbench.binary, bench.socket],
            in: bench.bench(".out")
        ).wait(atMost: WorkerHost.patience)
        let answer = try JSONSerialization.jsonObject(with: Data(try outcome.succeeded().utf8)) as? [String: Any]
        #expect(answer?["dir"] as? String == target)
        for pid in try await bench.processes() {
            #expect(try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/\(pid)/cwd") == "/")
        }
        // The one that follows finds all that it was started with.
        kill(try await bench.status().pid, SIGKILL)
        try await bench.compare(target)
        try await bench.end()
    }

    @Test("a directory that is empty, no directory or above the worker's own is refused, and nothing is mounted")
    func refusals() async throws {
        let bench = try await WorkerHost()
        let worker = try await bench.startWorker()
        let empty = try await bench.bench.run(["mount", "acme/app", "", "--socket", bench.socket])
        #expect(empty.status == 2)
        for (target, part) in [(bench.run, "hide"), ("/", "hide"), (bench.bench("src/hello"), "no directory")] {
            let line = try await bench.bench.fail(["mount", "acme/app", target, "--socket", bench.socket])
            #expect(line.contains(part), "\(line)")
        }
        #expect(try await bench.status().mounts.isEmpty)
        worker.signal(SIGTERM)
        #expect(try await worker.wait(atMost: WorkerHost.patience).status == 0)
    }

    @Test("what is written to a mount is seen there and in a chroot, and is gone with it")
    func writable() async throws {
        let bench = try await WorkerHost()
        let target = try bench.target("m")
        try await bench.mount(target, ["--writable"])
        let script = """
            import os, sys
            root, truth = sys.argv[1:]
            os.chdir(root)
            open('big', 'r+b').write(b'changed'); os.chown('big', 5, 6); os.setxattr('big', 'user.x', b'y')
            os.rename('hello', 'renamed'); os.link('renamed', 'linked')
            os.mkdir('made'); os.symlink('big', 'made/link')
            assert os.path.samefile('renamed', 'linked') and open('renamed').read() == 'hello\\n'
            status = os.stat('big')
            assert (status.st_uid, status.st_gid, os.getxattr('big', 'user.x')) == (5, 6, b'y')
            assert open('big', 'rb').read() == b'changed' + open(truth, 'rb').read()[7:]
            if os.fork() == 0:
                os.chroot('.')
                os._exit(0 if open('/renamed').read() == 'hello\\n' else 1)
            assert os.wait()[1] == 0
            """
        try await ChildProcess(
            "python3", ["-c", script, target, bench.bench("src/big")], in: bench.bench(".out")
        ).wait(atMost: WorkerHost.patience).succeeded()
        try await bench.bench.succeed(["unmount", target, "--socket", bench.socket])
        try await bench.mount(target, ["--writable"])
        #expect(try bench.text("\(target)/hello") == "hello\n")
        try await bench.compare(target)
        #expect(!FileManager.default.fileExists(atPath: "\(target)/made"))
        try await bench.end()
    }

    private static let canContain =
        WorkerHost.canMount && ["crun", "busybox", "unshare"].allSatisfy(BuiltProgram.isInstalled)

    @Test("crun runs a program in a mounted image", .enabled(if: canContain, "needs crun and busybox besides"))
    func container() async throws {
        let bench = try await WorkerHost()
        try await bench.bench.python(
            "import shutil; os.makedirs('box/bin'); [os.mkdir(f'box/{n}') for n in ('proc', 'dev', 'sys', 'tmp')]; "
                + "shutil.copy(shutil.which('busybox'), 'box/bin/sh'); write('box/text', b'from the image\\n')")
        try await bench.bench.push("dir:\(bench.bench("box"))", "acme/box")
        let root = try bench.target("rootfs")
        try await bench.mount(root, ["--writable"], of: "acme/box")
        // crun wants cgroups of version 2 alone, and finds them in a mount namespace of its own.
        let script = """
            cd "$1" && crun spec && python3 -c "$2" "$1/rootfs" && umount -lR /sys/fs/cgroup &&
                mount -t cgroup2 none /sys/fs/cgroup && exec crun --cgroup-manager=disabled run "test-$$"
            """
        let edit = """
            import json, sys
            spec = json.load(open('config.json'))
            spec['root'] = {'path': sys.argv[1], 'readonly': False}
            spec['process'].pop('rlimits', None)
            spec['process'] |= {'terminal': False, 'args': ['/bin/sh', '-c', 'echo in >> /text; cat /text']}
            spec['linux'].pop('resources', None)
            spec['linux']['namespaces'] = [n for n in spec['linux']['namespaces'] if n['type'] != 'cgroup']
            spec['mounts'] = [m for m in spec['mounts'] if m['type'] != 'cgroup']
            json.dump(spec, open('config.json', 'w'))
            """
        let outcome = try await ChildProcess(
            "unshare", ["-m", "/bin/sh", "-c", script, "sh", bench.bench("targets"), edit], in: bench.bench(".out")
        ).wait(atMost: WorkerHost.patience)
        #expect(try outcome.succeeded() == "from the image\nin\n")
        try await bench.bench.succeed(["unmount", root, "--socket", bench.socket])
        try await bench.end()
    }
}
