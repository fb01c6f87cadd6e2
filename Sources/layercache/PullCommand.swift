import ArgumentParser
import CacheClient
import CacheCore
import Foundation

struct PullCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "pull", abstract: "Bring an image out of the nearest tiers.")

    @Argument(help: "TENANT/NAME:TAG")
    var ref: String
    @Argument(help: "oci:DIR:TAG, oci-archive:FILE, tar:FILE (one layer), dir:DIR or file:FILE (a raw file)")
    var destination: String
    @OptionGroup var limits: LimitOptions
    @OptionGroup var options: CommonOptions

    func run() async throws {
        let settings = try Settings(options)
        let reference = try ImageReference(parsing: ref)
        let destination = try DestinationReference.parse(destination)
        let limits = try limits.resolve(settings)
        let keyring = try settings.keyring()
        // What is pulled into standard output is all that is written there.
        let stream = destination.isStandardOutput ? Terminal.Stream.error : .output
        let start = ContinuousClock.now
        let cache = try await settings.openCache()
        let image: CachedImage
        let notes: [String]
        do {
            image = try await cache.image(reference, keyring: keyring)
            notes = try await pull(image, to: destination, limits: limits)
        } catch {
            try await cache.close()
            throw error
        }
        // What was read is for the next one, too: the tiers above have it before this ends.
        try await cache.close()
        let seconds = (ContinuousClock.now - start) / .seconds(1)
        let report = PullJSON(image, repairedL1: cache.l1Resets, seconds: seconds)
        try options.report(report, on: stream) {
            try Terminal.say(
                "\(reference): \(report.bytes.inBytes) in \(String(report.seconds)) s", on: stream)
            if !image.isReferenceChecked {
                let seenAt = Date(timeIntervalSince1970: Double(image.referenceSeenAt) / 1000).formatted(.iso8601)
                try Terminal.say(
                    "\(reference) could not be checked, L3 is away: it is what this host saw at \(seenAt)", on: stream)
            }
            try Terminal.printTable(
                ["tier", "chunks", "bytes"],
                Tier.allCases.map { tier in
                    let count = image.counts[tier]
                    return [tier.rawValue, "\(count.chunks)", count.bytes.inBytes]
                }, on: stream)
            let repaired = report.repaired
            if repaired.l1 + repaired.l2 > 0 {
                try Terminal.say("repaired: \(repaired.l1) in L1, \(repaired.l2) in L2", on: stream)
            }
        }
        if !options.quiet { for note in notes { Terminal.complain("layercache: \(note)") } }
    }

    private func pull(
        _ image: CachedImage, to destination: DestinationReference, limits: ImportLimits
    ) async throws -> [String] {
        let progress = PullProgress()
        return try await ProgressLine.during(
            options,
            { seconds in
                let counts = image.counts
                let tiers = Tier.allCases.map { "\($0.rawValue) \(counts[$0].chunks)" }.joined(separator: ", ")
                let rate = Int(Double(progress.bytesWritten) / seconds).inBytes
                return "\(progress.bytesWritten.inBytes) (\(rate)/s), chunks: \(tiers)"
            }
        ) {
            try await ImagePuller(image, limits: limits).pull(to: destination, progress: progress)
        }
    }
}

/// What `pull --json` prints (docs/OPERATIONS.md, "JSON").
private struct PullJSON: Encodable {
    struct Chunks: Encodable {
        let total: Int
        let zero: Int
    }
    struct Repaired: Encodable {
        let l1: Int
        let l2: Int
    }
    let ref: String
    let bytes: Int
    let chunks: Chunks
    let tiers: [String: TierCount]
    let repaired: Repaired
    /// False if L3 was not there to say what the ref names; not there if it was.
    let refChecked: Bool?
    let seconds: Double

    init(_ image: CachedImage, repairedL1 storeRepairs: Int, seconds: Double) {
        let counts = image.counts
        ref = "\(image.reference)"
        bytes = image.layers.reduce(0) { $0 + $1.byteCount }
        let refs = image.layers.map(\.manifest.allRefs)
        chunks = Chunks(
            total: refs.reduce(0) { $0 + $1.count }, zero: refs.reduce(0) { $0 + $1.count(where: \.isZero) })
        tiers = Dictionary(uniqueKeysWithValues: Tier.allCases.map { ($0.rawValue, counts[$0]) })
        repaired = Repaired(l1: counts.repairedL1 + storeRepairs, l2: counts.repairedL2)
        refChecked = image.isReferenceChecked ? nil : false
        self.seconds = seconds.toMilliseconds
    }
}
