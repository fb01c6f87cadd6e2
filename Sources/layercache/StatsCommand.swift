import ArgumentParser
import CacheClient
import CacheCore

struct StatsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "stats", abstract: "Show the numbers of an L2 daemon (--l2) or of this host's L1 (--l1).")

    @OptionGroup var options: CommonOptions

    func run() async throws {
        let settings = try Settings(options)
        if let address = settings.l2Addresses().first {
            let text = try await L2Statistics.fetch(from: address)
            // The daemon's answer is one JSON object already, made to be read.
            if !options.quiet { print(text) }
            return
        }
        guard let directory = settings.l1Directory() else {
            throw ValidationError("Missing --l2 or --l1: whose numbers?")
        }
        let store = try ChunkStore.open(
            directory, options: .init(capacity: try settings.l1Capacity()), logger: .commandLine)
        let statistics = store.statistics
        await store.close()
        let report = StoreJSON(
            chunks: Int(statistics.chunks), bytes: Int(statistics.bytesUsed), capacity: Int(statistics.capacity))
        try options.report(report) {
            print("\(report.chunks) chunks, \(report.bytes.inBytes) of \(report.capacity.inBytes)")
        }
    }

    private struct StoreJSON: Encodable {
        let chunks: Int
        let bytes: Int
        let capacity: Int
    }
}
