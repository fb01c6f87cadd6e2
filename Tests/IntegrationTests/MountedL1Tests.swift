import Foundation
import TestSupport
import Testing

/// An L1 that its disk or its users take away under a mount: programs read right bytes from the tiers below, and a line
/// in the log says what is wrong.
@Suite(.enabled(if: WorkerHost.canMount, Comment(rawValue: WorkerHost.needs)), .serialized)
struct MountedL1Tests {
    enum Illness: String, CaseIterable {
        case full, readOnly, removed, cutOff

        /// What is done before the worker opens L1, in a shell.
        var before: String? {
            switch self {
            // Less than the image has.
            case .full: "mkdir l1; mount -t tmpfs -o size=2m tmpfs l1"
            case .readOnly: "mkdir l1; mount -t tmpfs -o ro,size=80m tmpfs l1"
            case .removed, .cutOff: nil
            }
        }

        /// What is done under the mount.
        var under: String? {
            switch self {
            case .full: "head -c 9000000 /dev/zero > l1/ballast 2>/dev/null || true"
            case .readOnly: nil
            case .removed: "rm -r l1"
            // The pages that are mapped beyond its end cannot be read any more, as on a disk that fails.
            case .cutOff: "truncate -s 0 l1/data.mdb"
            }
        }

        var line: String {
            switch self {
            case .full: "the disk is full"
            case .readOnly: "L1 cannot be used: going on without it"
            // A reader or the writer finds it out, and each says how.
            case .removed, .cutOff: "chunk store is out of order: it is closed, checked and opened again"
            }
        }
    }

    @Test("an L1 that is full, read-only, removed or unreadable", arguments: Illness.allCases)
    func ill(_ illness: Illness) async throws {
        let host = try await WorkerHost()
        if let before = illness.before { try await host.bench.shell(before) }
        let worker = try await host.startWorker(["--memory", "64KiB"])
        let target = try host.target("m")
        try await host.mount(target, ["--prefetch", "none"])
        // A third of it is in L1 then, where that can be.
        try await host.bench.python(
            "assert open('targets/m/big', 'rb').read(1 << 20) == open('src/big', 'rb').read(1 << 20)")
        if let under = illness.under { try await host.bench.shell(under) }
        for _ in 0..<2 {
            try await host.compare(target)
            try await host.forget(target)
        }
        func log() -> String { (try? worker.text(worker.errorPath)) ?? "no log" }
        try await host.eventually("'\(illness.line)' in the log: \(log())") {
            try await host.compare(target)
            try await host.forget(target)
            return log().contains(illness.line)
        }
        #expect(try await host.numbers(target).tiers.l3.chunks > 0)
        #expect(log().components(separatedBy: illness.line).count == 2, "\(log())")
        try await host.unmount(target)
        try await host.mount(target, ["--prefetch", "all"])
        #expect(try host.text("\(target)/hello") == "hello\n")
        worker.signal(SIGTERM)
        #expect(try await worker.wait(atMost: WorkerHost.patience).status == 0)
    }
}
