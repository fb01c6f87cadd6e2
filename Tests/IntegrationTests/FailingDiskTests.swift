import Foundation
import Glibc
import TestSupport
import Testing

/// The disk under L2's store fails: no wrong byte, no crash, and what the disk still gives is served.
@Suite(.enabled(if: FailingDisk.isPossible, Comment(rawValue: FailingDisk.needs)), .serialized)
struct FailingDiskTests {
    /// `ask` for one request of the daemon, `get` and `put` for chunk `n`, and `count`: how many of the first 30 chunks
    /// come, and that each is right.
    private func prelude(_ daemon: Daemon) -> String {
        """
        import collections, http.client
        def ask(method, path, body=None):
            c = http.client.HTTPConnection('\(daemon.address)', timeout=300)
            c.request(method, path, body)
            answer = c.getresponse()
            return answer.status, answer.read()
        def chunk(n): return noise(n, 20_000 if n % 5 == 0 else 200_000)
        def path(n): return '/v1/chunks/' + sha(chunk(n))
        def put(n): return ask('PUT', path(n), chunk(n))[0]
        def get(n):
            status, body = ask('GET', path(n))
            assert status == 404 or status == 200 and body == chunk(n), (status, n, len(body))
            return status
        def count(): return sum(get(n) == 200 for n in range(30))
        def missing():
            status, bits = ask('POST', '/v1/chunks/missing', b''.join(bytes.fromhex(sha(chunk(n))) for n in range(30)))
            assert status == 200 and len(bits) == 4, (status, bits)
            return sum(b.bit_count() for b in bits)
        def statistics(): return json.loads(ask('GET', '/v1/stats')[1])
        def alive(): assert ask('GET', '/healthz')[0] == 200

        """
    }

    private struct Parts {
        let bench: Workbench
        let disk: FailingDisk
        let daemon: Daemon
    }

    private func daemon(_ bench: Workbench) async throws -> Daemon {
        try await Daemon(bench, store: "disk/l2", capacity: "48MiB", memory: "1MiB")
    }

    /// A daemon on a disk that is well, with 30 chunks of which memory has some.
    ///
    /// - Parameter again: it has been started anew since: memory has none, and nothing of the index is mapped.
    private func start(again: Bool = false) async throws -> Parts {
        let bench = try await Workbench()
        let disk = try await FailingDisk(bench, "disk")
        let daemon = try await daemon(bench)
        try await bench.python(prelude(daemon) + "for n in range(30): assert put(n) == 201")
        // Of LMDB's last commit, which may be lost else, too.
        try await bench.shell("sync --file-system disk")
        guard again else { return Parts(bench: bench, disk: disk, daemon: daemon) }
        #expect(try await daemon.stop().status == 0)
        return Parts(bench: bench, disk: disk, daemon: try await self.daemon(bench))
    }

    /// Of chunk `n`, whose bytes are in the file `chunk` then.
    private func path(of n: Int, _ bench: Workbench) async throws -> String {
        try await bench.python("b = noise(\(n), 200_000); write('chunk', b); print('/v1/chunks/' + sha(b), end='')")
    }

    private func log(_ daemon: Daemon) throws -> String { try daemon.process.text(daemon.process.errorPath) }

    /// Puts one more chunk until that is stored: the disk is well again, and the daemon has found out.
    private func waitForWrites(_ parts: Parts) async throws {
        try await eventually("a PUT that is stored") {
            try await parts.bench.python(prelude(parts.daemon) + "print(put(99))").hasPrefix("20")
        }
    }

    /// Where reads meet the failure.
    enum Way: String, CaseIterable {
        /// Extents that are read for the first time go past the page cache.
        case direct
        /// Extents that have been read before go through it.
        case cached
        /// LMDB's own pages, of which nothing is mapped yet: SIGBUS.
        case index
    }

    @Test("reads fail, and come back", arguments: Way.allCases)
    func reads(_ way: Way) async throws {
        let parts = try await start(again: way == .index)
        let bench = parts.bench
        if way == .cached { try await bench.python(prelude(parts.daemon) + "assert count() == 30") }
        try await parts.disk.forget()
        try await parts.disk.begin(.read)
        try await bench.python(
            prelude(parts.daemon) + """
                first = count(); assert first < 30, first
                assert ask('HEAD', path(12))[0] in (200, 404)
                assert missing() <= 30
                alive()
                s = statistics(); assert s['misses'] >= 30 - first, s
                assert s['repairs'] > 0 or not s['ready'], s
                """)
        // It waits for the store to be opened again, for some seconds; memory has it all the same.
        let path = try await path(of: 41, bench)
        let filling = try ChildProcess(
            "curl", ["-sS", "-w", "%{http_code}", "-o", "/dev/null", "-T", bench("chunk"), parts.daemon.url + path],
            in: bench(".out"))
        try await eventually("a chunk in memory") {
            try await bench.python(prelude(parts.daemon) + "print(get(41))") == "200\n"
        }
        try parts.disk.end(.read)
        let filled = try await filling.wait().output
        #expect(["201", "503"].contains(filled), "\(filled)")
        try await waitForWrites(parts)
        // At most those whose extents could not be read were dropped.
        let found = try await bench.python(
            prelude(parts.daemon) + """
                assert ask('GET', '/readyz')[0] == 200
                print(count(), statistics()['repairs'])
                """)
        let numbers = found.split(separator: " ").compactMap { Int($0.trimmingCharacters(in: .whitespacesAndNewlines)) }
        try #require(numbers.count == 2)
        let end = try await parts.daemon.stop()
        #expect(end.status == 0, "\(end.error)")
        #expect(numbers[0] >= 30 - numbers[1], "\(found) \(end.error)")
        if way == .index { #expect(end.error.contains("data.mdb cannot be read: the disk fails"), "\(end.error)") }
        #expect(!end.error.contains("starts empty"), "\(end.error)")
    }

    /// However many writes a disk refuses, it is read as ever, and tried again.
    @Test func writesFail() async throws {
        let parts = try await start()
        try await parts.disk.forget()
        try await parts.disk.begin(.write)
        try await parts.bench.python(
            prelude(parts.daemon) + """
                for n in range(40, 64):
                    assert put(n) == 507
                    assert get(n) == 200
                    if n % 4 == 0: assert count() == 30
                assert ask('GET', '/readyz')[0] == 200 and missing() == 0
                s = statistics(); assert s['disk']['chunks'] == 30 and s['puts']['refused'] == 24, s
                assert b'layercache_store_reopened_total 0' in ask('GET', '/metrics')[1]
                """)
        let log = try log(parts.daemon)
        #expect(log.components(separatedBy: "cannot write; reads go on").count == 2, "\(log)")
        #expect(!log.contains("out of order"), "\(log)")
        try parts.disk.end(.write)
        try await waitForWrites(parts)
        try await parts.bench.python(
            prelude(parts.daemon) + "assert count() == 30 and put(70) == 201 and get(70) == 200")
        #expect(try await parts.daemon.stop().status == 0)
    }

    /// The kernel makes a filesystem read-only in which it finds an error.
    @Test func theFilesystemBecomesReadOnly() async throws {
        let parts = try await start()
        let (bench, disk) = (parts.bench, parts.disk)
        try await bench.shell(
            """
            device=$(findmnt --noheadings --output SOURCE disk)
            echo test > "/sys/fs/ext4/${device#/dev/}/trigger_fs_error"
            ! touch disk/x 2>/dev/null
            """)
        try await disk.forget()
        try await bench.python(
            prelude(parts.daemon) + """
                for n in range(40, 52): assert put(n) == 507 and get(n) == 200
                assert count() == 30 and missing() == 0 and ask('GET', '/readyz')[0] == 200
                """)
        let end = try await parts.daemon.stop()
        #expect(end.status == 0, "\(end.error)")
        #expect(!end.error.contains("out of order"), "\(end.error)")
        let refusal = try await bench.fail([
            "server", "--listen", "127.0.0.1:0", "--store", bench("disk/l2"), "--capacity", "48MiB",
        ])
        #expect(refusal.lowercased().contains("read-only"), "\(refusal)")
        try await disk.mountAgain()
        let again = try await daemon(bench)
        try await bench.python(prelude(again) + "assert count() == 30 and put(60) == 201")
        #expect(try await again.stop().status == 0)
    }

    /// A disk that answers nothing holds up those alone who need it, and they are answered when it does.
    @Test func theDiskIsSilent() async throws {
        let parts = try await start(again: true)
        let bench = parts.bench
        try await bench.python(prelude(parts.daemon) + "assert get(29) == 200")
        try await parts.disk.forget()
        let path = try await path(of: 1, bench)
        try await parts.disk.begin(.silent)
        let waiting = try ChildProcess(
            "curl", ["-sS", "-w", "%{http_code}", "-o", bench("answer"), parts.daemon.url + path],
            in: bench(".out"))
        try await bench.python(
            prelude(parts.daemon) + """
                assert get(29) == 200
                alive(); assert statistics()['memory']['hits'] > 0
                """)
        #expect(!waiting.hasEnded)
        try parts.disk.end(.silent)
        #expect(try await waiting.wait().output == "200")
        try await bench.python(
            prelude(parts.daemon) + "assert count() == 30 and open('answer', 'rb').read() == chunk(1)")
        #expect(try await parts.daemon.stop().status == 0)
    }
}
