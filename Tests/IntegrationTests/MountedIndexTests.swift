import Foundation
import TestSupport
import Testing

/// Images that a version before this one has pushed: they have no index.
@Suite(.enabled(if: WorkerHost.canMount, Comment(rawValue: WorkerHost.needs)), .serialized)
struct MountedIndexTests {
    /// Prints what a tree is, a line an entry.
    private static let listing = """
        def listing(root):
            lines = []
            for at, directories, files in os.walk(root):
                for name in ['.'] + [d for d in directories if os.path.islink(os.path.join(at, d))] + files:
                    path = os.path.normpath(os.path.join(at, name))
                    s = os.lstat(path)
                    link = os.readlink(path) if os.path.islink(path) else ''
                    data = sha(open(path, 'rb').read()) if os.path.isfile(path) and not link else ''
                    names = {n: os.getxattr(path, n, follow_symlinks=False)
                             for n in os.listxattr(path, follow_symlinks=False)}
                    size = 0 if os.path.isdir(path) else s.st_size
                    count = 0 if os.path.isdir(path) else s.st_nlink
                    lines.append((os.path.relpath(path, root), s.st_mode, s.st_uid, s.st_gid, size, s.st_mtime,
                                  count, link, data, names))
            return sorted(lines)

        """

    @Test("the first mount makes an index, the next worker finds it in L1, and the trees are equal")
    func made() async throws {
        let host = try await WorkerHost()
        try await host.bench.python(
            """
            for number in range(300): write(f'src/many/{number % 7}/{number}', b'%d' % number)
            os.link('src/hello', 'src/again'); os.symlink('../hello', 'src/many/link')
            os.chown('src/many', 5, 6); os.chmod('src/hello', 0o4750); os.setxattr('src/big', 'user.x', b'y')
            for at, _, files in os.walk('src'):
                for name in files + ['.']: os.utime(f'{at}/{name}', (1, 1500000000), follow_symlinks=False)
            """)
        try await host.bench.push("dir:\(host.bench("src"))", "acme/app")
        try await ForgedImages(host.bench).publishWithoutIndex("acme/old")
        let target = try host.target("m")
        let common = ["--l3", host.bench.l3, "--keyring", host.bench.keyring]
        try await host.bench.succeed(["verify", "acme/old"] + common)

        let first = try await host.startWorker()
        try await host.mount(target, of: "acme/old")
        try await compareTrees(host)
        try await host.unmount(target)
        try await end(first)

        // What a host reads for a mount alone: with a pushed index, and with one that it has made.
        let second = try await host.startWorker()
        try await host.mount(target, ["--prefetch", "none"], of: "acme/app")
        let pushed = try await chunksRead(host)
        try await host.unmount(target)
        try await end(second)
        let third = try await host.startWorker()
        // Neither the tables of entries nor the metadata could be read from below.
        try await host.bench.shell("mv l3/generations/*/chunks .")
        try await host.mount(target, ["--prefetch", "none"], of: "acme/old")
        #expect(try await chunksRead(host) == pushed)
        try await compareTrees(host)
        try await host.unmount(target)
        try await end(third)
        try await host.bench.shell("mv chunks l3/generations/*/")
        try await host.bench.succeed(["verify", "acme/old"] + common)
    }

    private func compareTrees(_ host: WorkerHost) async throws {
        try await host.bench.python(
            Self.listing
                + """
                shown, truth = listing('targets/m'), listing('src')
                assert len(truth) > 300
                for one, other in zip(shown, truth): assert one == other, (one, other)
                assert shown == truth
                """)
    }

    /// How many chunks the worker has had from any tier, for all that it has done.
    private func chunksRead(_ host: WorkerHost) async throws -> Int {
        try await host.curl("/metrics").body.split(separator: "\n")
            .filter { $0.hasPrefix("layercache_worker_chunks_total{") && !$0.contains("memory") }
            .compactMap { Int($0.split(separator: " ").last ?? "") }.reduce(0, +)
    }

    private func end(_ worker: ChildProcess) async throws {
        worker.signal(SIGTERM)
        #expect(try await worker.wait(atMost: WorkerHost.patience).status == 0)
    }
}
