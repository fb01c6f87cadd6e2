import ArgumentParser
import CacheClient
import CacheCore

struct TraceCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "trace", abstract: "Show, drop or record anew which parts of an image its programs read first.",
        discussion: """
            The first runs of a mounted image are recorded by themselves; later mounts fetch what they read ahead, in that
            order. Use --record after a change of what the image runs: its next run replaces the trace.
            """)

    enum Action: String, EnumerableFlag {
        case record
        case show
        case drop

        static func help(for value: Action) -> ArgumentHelp? {
            switch value {
            case .record: "Have the next run of the image recorded afresh."
            case .show: "Print the trace."
            case .drop: "Remove the trace, from L3 and from this host."
            }
        }
    }

    @Argument(help: "TENANT/NAME:TAG")
    var ref: String
    @Flag(exclusivity: .exclusive)
    var action: Action
    @OptionGroup var options: CommonOptions

    private struct Report: Encodable {
        let ref: String
        let manifest: String
        let runs: Int
        let chunks: Int
        let bytes: Int
        let stored: Int
        let order: [UInt32]
    }

    private struct Change: Encodable {
        let ref: String
        let manifest: String
        let changed: Bool
    }

    func run() async throws {
        let settings = try Settings(options)
        let reference = try ImageReference(parsing: ref)
        let keyring = try settings.keyring()
        let cache = try await settings.openCache()
        do {
            let image = try await cache.image(reference, keyring: keyring)
            switch action {
            case .record:
                try await cache.setTrace(ImageTrace(chunks: [], runs: 0), of: image)
                try options.report(Change(ref: "\(reference)", manifest: "\(image.id)", changed: true)) {
                    try Terminal.say("the next run of \(reference) is recorded")
                }
            case .drop:
                let wasThere = try await cache.dropTrace(of: image)
                try options.report(Change(ref: "\(reference)", manifest: "\(image.id)", changed: wasThere)) {
                    try Terminal.say("\(reference) has no trace\(wasThere ? " any more" : "")")
                }
            case .show: try await show(image, cache)
            }
        } catch {
            try await cache.close()
            throw error
        }
        try await cache.close()
    }

    private func show(_ image: CachedImage, _ cache: LayerCache) async throws {
        guard let trace = try await cache.trace(of: image), trace.runs > 0 else {
            throw CacheError(
                .missing, "there is no trace of \(image.reference): it is recorded when the image is mounted and runs")
        }
        let size = try await cache.size(of: trace, in: image)
        let report = Report(
            ref: "\(image.reference)", manifest: "\(image.id)", runs: Int(trace.runs), chunks: trace.chunks.count,
            bytes: size.bytes, stored: size.stored, order: trace.chunks)
        try options.report(report) {
            try Terminal.say(
                "\(report.ref): \(report.chunks) chunks, \(report.bytes.inBytes) (\(report.stored.inBytes) stored), from"
                    + " \(report.runs) runs")
            try Terminal.say(trace.chunks.map(String.init).joined(separator: " "))
        }
    }
}
