import Foundation
import Glibc
import TestSupport
import Testing

/// Ctrl-C and service managers: a verb cleans up after itself and says what ended it.
@Suite struct InterruptionTests {
    /// Sends a signal as soon as there are bytes below `directory`. A process that was done by then is tried again.
    private func interrupt(
        _ bench: Workbench, _ arguments: [String], _ number: Int32, below directory: String
    ) async throws {
        // On a busy machine many may come to their end before this one sees their first bytes.
        for _ in 0..<100 {
            try await bench.shell("rm -rf '\(directory)'; mkdir '\(directory)'")
            let process = try bench.start(arguments)
            try await eventually("bytes below \(directory)") { process.hasEnded || hasBytes(bench, directory) }
            process.signal(number)
            let outcome = try await process.wait()
            if outcome.status == 0 { continue }
            #expect(outcome.status == 128 + number, "\(arguments): \(outcome.error)")
            #expect(outcome.signal == nil, "\(arguments): \(outcome.error)")
            #expect(outcome.error == "layercache: interrupted\n")
            #expect(outcome.output.isEmpty)
            return
        }
        Issue.record("it was always too fast: \(arguments)")
    }

    private func hasBytes(_ bench: Workbench, _ directory: String) -> Bool {
        bench.files(below: directory).contains { path in
            (FileStatus(path)?.byteCount ?? 0) > 0
        }
    }

    @Test(arguments: ["tar:", "file:", "dir:", "oci-archive:"]) func pullLeavesNothingBehind(_ form: String)
        async throws
    {
        let bench = try await Workbench()
        try await bench.shell("head -c 80000000 /dev/urandom > in; tar cf in.tar in")
        try await bench.push(form == "file:" ? "file:\(bench("in"))" : "tar:\(bench("in.tar"))", "acme/a:1")
        try await bench.shell("rm in in.tar")
        for number in [SIGINT, SIGTERM, SIGQUIT] {
            try await interrupt(
                bench, bench.pullArguments("acme/a:1", "\(form)\(bench("here/out"))"), number, below: bench("here"))
            #expect(try FileManager.default.contentsOfDirectory(atPath: bench("here")) == [])
        }
        try await bench.pull("acme/a:1", "\(form)\(bench("here/out"))")
    }

    @Test func pushIsFinishedByTheNext() async throws {
        let bench = try await Workbench()
        try await bench.shell("head -c 80000000 /dev/urandom > in")
        let push = ["push", "file:\(bench("in"))", "acme/f:1", "--l3", bench.l3, "--keyring", bench.keyring, "--json"]
        for number in [SIGINT, SIGTERM] {
            try await interrupt(bench, push, number, below: bench.l3)
            #expect(!bench.files(below: bench.l3).contains { $0.contains("/refs/") })
        }
        try await bench.succeed(push)
        try await bench.succeed(["verify", "acme/f:1", "--l3", bench.l3, "--keyring", bench.keyring])
        #expect(bench.files(below: bench("l3/.tmp")) == [])
    }
}
