import ArgumentParser
import CacheClient
import CacheCore

struct VerifyCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "verify", abstract: "Read all of an image from L3 and check every layer against its diffID.")

    @Argument(help: "TENANT/NAME:TAG")
    var ref: String
    @OptionGroup var options: CommonOptions

    private struct Report: Encodable {
        let ref: String
        let layers: Int
        let chunks: Int
        let bytes: Int
        let problems: [String]
        let seconds: Double
    }

    func run() async throws {
        let settings = try Settings(options)
        let reference = try ImageReference(parsing: ref)
        let keyring = try settings.keyring()
        let start = ContinuousClock.now
        let cache = try await settings.openBareL3()
        let image: CachedImage
        let found: ImageVerifier.Report
        do {
            image = try await cache.image(reference, keyring: keyring)
            let progress = PullProgress()
            found = try await ProgressLine.during(options, { _ in "checked \(progress.bytesWritten.inBytes)" }) {
                try await ImageVerifier(image).verify(progress: progress)
            }
        } catch {
            try await cache.close()
            throw error
        }
        try await cache.close()
        let seconds = ((ContinuousClock.now - start) / .seconds(1)).toMilliseconds
        let report = Report(
            ref: "\(reference)", layers: image.layers.count, chunks: found.chunks, bytes: found.bytes,
            problems: found.problems, seconds: seconds)
        try options.report(report) {
            if found.problems.isEmpty {
                try Terminal.say(
                    "\(reference) is whole: \(report.layers) layers, \(report.chunks) chunks, \(report.bytes.inBytes)")
            } else {
                // One line each, for scripts; the first is the error as well.
                for problem in found.problems { try Terminal.say(Terminal.printable(problem)) }
            }
        }
        if let first = found.problems.first {
            let more = found.problems.count > 1 ? " (and \(found.problems.count - 1) more)" : ""
            throw CacheError(.corrupt, first + more)
        }
    }
}
