import Foundation
import TestSupport
import Testing

/// The metrics that a daemon and a worker print are those that docs/OPERATIONS.md explains; and alert rules and
/// dashboard use no others.
@Suite(.enabled(if: TestCertificates.isPossible && BuiltProgram.isInstalled("curl"), "needs openssl and curl"))
struct MetricsDocumentTests {
    private func families(_ text: String) -> Set<String> {
        Set(text.matches(of: #/(?m)^# TYPE (layercache_\w+) /#).map { String($0.output.1) })
    }

    /// The names that a section explains, each in a line of its own.
    private func explained(_ heading: String) throws -> Set<String> {
        let document = try Project.text("docs/OPERATIONS.md")
        let section = try #require(document.components(separatedBy: "\n## \(heading)").dropFirst().first)
            .components(separatedBy: "\n## ")[0]
        var names: Set<String> = []
        for line in section.matches(of: #/(?m)^- `(layercache_\w+)`(.*)$/#) {
            #expect(names.insert(String(line.output.1)).inserted, "explained twice: \(line.output.1)")
            #expect(line.output.2.count > 20, "not explained: \(line.output.1)")
        }
        return names
    }

    /// With tokens and TLS, because some are printed with these alone.
    private func ofADaemon() async throws -> Set<String> {
        let bench = try await Workbench()
        let pki = try await TestCertificates(in: bench.path)
        let token = try await bench.succeed([
            "token", "add", "x", "--scope", "read", "--tokens", bench("tokens.json"),
        ]).trimmingCharacters(in: .newlines)
        let daemon = try await Daemon(
            bench,
            options: [
                "--tokens", bench("tokens.json"), "--tls-cert", pki.certificate("server"), "--tls-key",
                pki.key("server"),
            ])
        let text = try await bench.shell(
            "curl -sf --cacert \(pki.certificate("ca")) -H 'Authorization: Bearer \(token)' \(daemon.url)/metrics")
        #expect(try await daemon.stop().status == 0)
        return families(text)
    }

    private func ofAWorker() async throws -> Set<String> {
        let host = try await WorkerHost()
        let daemon = try await Daemon(host.bench)
        let worker = try await host.startWorker(["--l2", daemon.url])
        try await host.mount(try host.target("a"), ["--prefetch", "none"])
        try await host.compare(host.bench("targets/a"))
        let text = try await host.curl("/metrics").body
        // Who has read has waited for L3.
        let waits = text.firstMatch(of: #/layercache_worker_read_seconds_count\{tier="l3"\} (\d+)/#)?.output.1
        #expect(waits.flatMap { Int($0) } ?? 0 > 0)
        try await host.unmount(host.bench("targets/a"))
        try await host.end()
        _ = worker
        #expect(try await daemon.stop().status == 0)
        return families(text)
    }

    @Test func thoseOfADaemonAreExplained() async throws {
        let printed = try await ofADaemon()
        #expect(printed.count > 30)
        #expect(printed == (try explained("Metrics of the daemon")))
    }

    @Test(.enabled(if: WorkerHost.canMount, "\(WorkerHost.needs)")) func thoseOfAWorkerAreExplained() async throws {
        let printed = try await ofAWorker()
        #expect(printed.count > 8)
        #expect(printed == (try explained("Metrics of a worker")))
    }

    /// By the document, which is what the programs print.
    @Test func rulesAndDashboardUseWhatThereIs() throws {
        let known = try explained("Metrics of the daemon").union(try explained("Metrics of a worker"))
        for file in ["prometheus/alerts.yaml", "prometheus/alerts.test.yaml", "grafana-dashboard.json"] {
            let used = Set(
                try Project.text("packaging/\(file)").matches(of: #/\blayercache_[a-z0-9_]+/#).map {
                    $0.output.replacing(#/_(bucket|sum|count)$/#, with: "")
                })
            #expect(used.count > 3)
            #expect(used.subtracting(known.map { Substring($0) }).isEmpty, "\(file)")
        }
    }
}
