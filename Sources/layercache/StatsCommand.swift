import ArgumentParser
import CacheAgent
import CacheClient
import CacheCore
import Foundation

struct StatsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "stats",
        abstract: "Show the numbers of a mount (DIR), of L2 daemons (--l2) or of this host's L1 (--l1).")

    @Argument(help: ArgumentHelp("The directory of a mount.", valueName: "dir"))
    var directory: String?
    @OptionGroup var socket: SocketOption
    @OptionGroup var options: CommonOptions

    func run() async throws {
        let settings = try Settings(options)
        if let directory { return try await print(mount: directory, settings) }
        let daemons = settings.l2Addresses()
        if daemons.count > 1 || daemons.contains(where: { $0.hasPrefix("dns+") }) {
            return try await print(ring: daemons, try settings.l2Security())
        }
        if let address = daemons.first {
            let text = try await L2Statistics.fetch(
                from: address, security: try settings.l2Security(), logger: .commandLine)
            return try print(try numbers(text, of: address))
        }
        guard let directory = settings.l1Directory() else {
            throw ValidationError("Missing --l2 or --l1: whose numbers?")
        }
        let statistics = try ChunkStore.look(at: directory) { Task.isCancelled }
        let report = StoreJSON(
            chunks: Int(statistics.chunks), bytes: Int(statistics.bytesUsed), capacity: Int(statistics.capacity))
        try options.report(report) {
            try Terminal.say("\(report.chunks) chunks, \(report.bytes.inBytes) of \(report.capacity.inBytes)")
        }
    }

    private func print(mount directory: String, _ settings: Settings) async throws {
        let directory = try directory.inWorkingDirectory()
        let launcher = WorkerLauncher(WorkerPlace(socket: try socket.path(settings)))
        let numbers = try await launcher.withWorker(orStart: nil) { try await $0.statistics(of: directory) }
        try options.report(numbers) {
            try Terminal.say("\(numbers.ref): \(numbers.asked.bytes.inBytes) in \(numbers.asked.reads) reads")
            let tiers = numbers.tiers
            try Terminal.printTable(
                ["tier", "chunks", "bytes"],
                [("memory", tiers.memory), ("l1", tiers.l1), ("l2", tiers.l2), ("l3", tiers.l3)].map {
                    [$0, "\($1.chunks)", $1.bytes.inBytes]
                })
            if let ring = numbers.ring { try print(ring) }
            try Terminal.say("prefetched: \(numbers.prefetch.chunks) chunks, \(numbers.prefetch.used) used")
            let repaired = numbers.repaired
            if repaired.l1 + repaired.l2 > 0 {
                try Terminal.say("repaired: \(repaired.l1) in L1, \(repaired.l2) in L2")
            }
        }
    }

    private func print(_ ring: L2RingStatistics) throws {
        try Terminal.printTable(
            ["l2 node", "state", "share", "requests", "hits", "bytes", "errors", "shed", "hedged", "passed", "p95"],
            ring.nodes.map { node in
                [
                    node.node, node.state, "\(Int((node.share * 100).rounded())) %", "\(node.requests)",
                    "\(node.hits)", node.bytes.inBytes, "\(node.errors)", "\(node.sheds)", "\(node.hedges)",
                    "\(node.passedOver)",
                    "\(Int((node.p95Seconds * 1000).rounded())) ms",
                ]
            })
        try Terminal.say("l2: \(ring.reads) reads, \(ring.hedges) hedges, \(ring.retries) retries")
    }

    /// Those that do not answer are named on standard error; it is a failure if none does.
    private func print(ring daemons: [String], _ security: L2Security) async throws {
        var nodes: [String: [String: JSONValue]] = [:]
        for (daemon, answer) in try await L2Statistics.fetch(
            fromAll: daemons, security: security, logger: .commandLine)
        {
            do {
                nodes[daemon] = try numbers(try answer.get(), of: daemon)
            } catch {
                Terminal.complain("\(error)")
            }
        }
        guard !nodes.isEmpty else {
            throw CacheError(.io, "no L2 daemon gave its numbers: check --l2 and the daemons")
        }
        try print(["nodes": nodes])
    }

    /// The JSON object that a daemon answered. Anything else that came back does not reach the terminal.
    private func numbers(_ text: String, of address: String) throws -> [String: JSONValue] {
        do {
            return try JSONDocument.decode(
                [String: JSONValue].self, from: Array(text.utf8), name: "the answer", depth: 8)
        } catch {
            throw CacheError(.io, "L2 at \(address) gave no numbers: check the address and the daemon", cause: error)
        }
    }

    private func print(_ value: some Encodable) throws {
        if options.json {
            try Terminal.printJSON(value)
        } else if !options.quiet {
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.sortedKeys, .prettyPrinted, .withoutEscapingSlashes]
            let lines = String(decoding: try encoder.encode(value), as: UTF8.self).split(separator: "\n")
            try Terminal.say(lines.map { Terminal.printable(String($0)) }.joined(separator: "\n"))
        }
    }

    private struct StoreJSON: Encodable {
        let chunks: Int
        let bytes: Int
        let capacity: Int
    }
}
