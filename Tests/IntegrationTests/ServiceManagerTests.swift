import Foundation
import TestSupport
import Testing

/// The worker as a service manager starts it.
@Suite(.enabled(if: WorkerHost.canMount, Comment(rawValue: WorkerHost.needs)), .serialized)
struct ServiceManagerTests {
    @Test("a service manager keeps the descriptors: killed, or handed over, the next process serves the same mounts")
    func keptDescriptors() async throws {
        let host = try await WorkerHost()
        let outcome = try await Self.manage(host, "together").wait()
        #expect(outcome.status == 0, "\(outcome.error)\(outcome.output)")
        #expect(try host.kernelMounts().isEmpty)
    }

    @Test(
        "a worker with a mount namespace of its own mounts in its manager's, and reads keyrings there",
        .enabled(if: BuiltProgram.isInstalled("unshare")))
    func ownNamespace() async throws {
        let host = try await WorkerHost()
        let outcome = try await Self.manage(host, "apart").wait()
        #expect(outcome.status == 0, "\(outcome.error)\(outcome.output)")
        #expect(try host.kernelMounts().isEmpty)
    }

    @Test(
        "a worker with a mount namespace of its own that was handed no other one says that nobody sees its mounts",
        .enabled(if: BuiltProgram.isInstalled("unshare")))
    func lostNamespace() async throws {
        let host = try await WorkerHost()
        let outcome = try await Self.manage(host, "lost").wait()
        #expect(outcome.status == 0 && outcome.error.contains("--store-namespace"), "\(outcome.error)\(outcome.output)")
    }

    @Test("without a service manager there is nobody to hand a namespace to")
    func nobodyListens() async throws {
        let bench = try await Workbench()
        let line = try await bench.fail(["worker", "--store-namespace"])
        #expect(line.contains("ExecStartPre=+"))
    }

    /// A manager that keeps its worker in a mount namespace of its own has one of its own, too, so that a fault leaves
    /// no mount here.
    private static func manage(_ host: WorkerHost, _ way: String) throws -> ChildProcess {
        let aside = way == "together" ? [] : ["unshare", "--mount", "--propagation", "shared"]
        let words =
            aside + ["python3", "-c", manager, try Workbench.binary, way, host.run, try host.target("m")]
            + [host.bench("src/big"), host.bench.keyring] + host.workerArguments
        return try ChildProcess(
            words[0], Array(words.dropFirst()), environment: ["LAYERCACHE_L3": host.bench.l3], in: host.bench(".out"))
    }

    /// As much of systemd as a worker sees: a notify socket, a descriptor store, LISTEN_FDS; for one that is kept
    /// `apart`, a mount namespace in which neither the directory of mounts nor the keyring is what it is outside.
    private static let manager = """
        import array, json, os, signal, socket, subprocess, sys
        binary, way, run, target, truth, keyring, *arguments = sys.argv[1:]
        notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        notify.bind(run + '/notify')
        notify.settimeout(120)
        store = []
        def heard():
            text, control, *_ = notify.recvmsg(4096, socket.CMSG_SPACE(64))
            fields = dict(line.split('=', 1) for line in text.decode().splitlines())
            if 'FDSTOREREMOVE' in fields:
                for name, file in store:
                    if name == fields['FDNAME']: os.close(file)
                store[:] = [entry for entry in store if entry[0] != fields['FDNAME']]
            for level, kind, data in control:
                assert (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS)
                files = array.array('i'); files.frombytes(data[:len(data) // 4 * 4])
                assert fields['FDSTORE'] == '1', fields
                store.extend((fields['FDNAME'], file) for file in files)
            return fields
        def kept(): return sorted(name for name, _ in store)
        environment = dict(os.environ, NOTIFY_SOCKET=run + '/notify')
        aside = ['unshare', '--mount', '--propagation', 'slave'] if way != 'together' else []
        hide = 'mount -t tmpfs none "$1" && mount --bind /dev/null "$2" && ' if way == 'apart' else ''
        def start():
            if way == 'apart':
                words = aside + [binary, 'worker', '--store-namespace']
                subprocess.run(words, env=environment, check=True, timeout=120)
                while heard().get('FDSTORE') != '1': pass
                assert kept().count('mount-namespace') == 1, kept()
            def prepare():
                # Above all numbers that are given, then in their places.
                high = [os.dup2(f, 100 + i, inheritable=False) for i, (_, f) in enumerate(store)]
                for i, f in enumerate(high): os.dup2(f, 3 + i, inheritable=True)
            env = dict(environment, LISTEN_FDS=str(len(store)), LISTEN_FDNAMES=':'.join(name for name, _ in store))
            script = hide + 'shift 2 && export LISTEN_PID=$$ && exec "$@"'
            words = aside + ['/bin/sh', '-c', script, 'sh', os.path.dirname(target), keyring, binary] + arguments
            process = subprocess.Popen(words, env=env, preexec_fn=prepare, close_fds=False)
            while heard().get('READY') != '1': assert process.poll() is None
            return process
        def call(*words):
            path = arguments[arguments.index('--socket') + 1]
            answer = subprocess.run(['curl', '-sS', '--unix-socket', path, *words], check=True, stdout=subprocess.PIPE)
            return json.loads(answer.stdout)
        def check():
            with open(target + '/big', 'rb') as shown, open(truth, 'rb') as real:
                os.posix_fadvise(shown.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
                assert shown.read() == real.read()
            tasks = f'/proc/{process.pid}/task'
            here = os.readlink('/proc/self/ns/mnt')
            others = [task for task in os.listdir(tasks) if os.readlink(f'{tasks}/{task}/ns/mnt') != here]
            for task in set(os.listdir(tasks)) - {str(process.pid)}:
                blocked = [line for line in open(f'{tasks}/{task}/status') if line.startswith('SigBlk')][0]
                assert int(blocked.split()[1], 16) >> signal.SIGTERM - 1 & 1, (task, blocked)
            assert bool(others) == (way == 'apart') and len(others) < len(os.listdir(tasks)), others
        process = start()
        assert kept().count('fuse') >= 1
        if way == 'lost':
            process.terminate()
            sys.exit(process.wait(120))
        for more in ({}, {'writable': True}):
            place = target + '-written' if more else target
            os.makedirs(place, exist_ok=True)
            answer = call('-d', json.dumps({'ref': 'acme/app', 'dir': place, **more}), 'http://w/v1/mounts')
            assert answer['dir'] == place and os.path.ismount(place), answer
        with open(target + '-written/new', 'w') as file: file.write('new')
        check()
        for number in (signal.SIGKILL, signal.SIGHUP):
            process.send_signal(number)
            process.wait(120)
            reader = subprocess.Popen(['cat', target + '/hello'], stdout=subprocess.PIPE)
            process = start()
            assert reader.communicate(timeout=120)[0] == b'hello\\n'
            check()
            status = call('http://w/v1/status')
            assert status['pid'] == process.pid and len(status['mounts']) == 2, status
            assert open(target + '-written/new').read() == 'new'
        user = open(target + '/hello')
        process.terminate()
        assert process.wait(120) == 0
        assert 'fuse' in kept() and os.path.ismount(target) and not os.path.ismount(target + '-written')
        process = start()
        user.close()
        process.terminate()
        assert process.wait(120) == 0
        notify.setblocking(False)
        try:
            while True: heard()
        except BlockingIOError: pass
        assert 'fuse' not in kept() and not os.path.ismount(target)
        left = [line for line in open('/proc/self/mountinfo') if run in line]
        assert not left, left
        """
}
