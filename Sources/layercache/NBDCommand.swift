import ArgumentParser
import CacheClient
import CacheCore
import CacheDevice
import Logging

struct NBDCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "nbd", abstract: "Show an image as a disk to QEMU and other NBD clients.",
        discussion: """
            The disk is an EROFS filesystem with the image's files, or, of an image that is a raw file, its bytes. It \
            can be read only.
            Any signal that ends it closes its connections and leaves status 0.
            """)

    @Argument(help: "TENANT/NAME:TAG")
    var ref: String
    @Option(help: ArgumentHelp("Where to listen: a Unix socket, mode 0600.", valueName: "path"))
    var socket: String
    @Option(
        help: ArgumentHelp(
            "What to fetch ahead: trace (what earlier runs read), all or none (trace).", valueName: "what"))
    var prefetch: String?
    @Option(help: ArgumentHelp("Most connections at a time (128).", valueName: "count"))
    var connections: Int?
    @OptionGroup var options: CommonOptions

    func run() async throws {
        let settings = try Settings(options)
        let reference = try ImageReference(parsing: ref)
        let deviceOptions = try deviceOptions()
        let limits = try limits()
        let keyring = try settings.keyring()
        let cache = try await settings.openCache()
        let outcome: Result<Void, any Error>
        do {
            let image = try await cache.image(reference, keyring: keyring)
            let device = try await cache.device(of: image, deviceOptions)
            outcome = await Self.result { try await serve(device, reference, limits) }
            await device.close()
        } catch {
            outcome = .failure(error)
        }
        // What was read is for the next one, too: the tiers above have it before this ends.
        try await cache.close()
        try outcome.get()
    }

    private func serve(_ device: ImageDevice, _ reference: ImageReference, _ limits: NBDLimits) async throws {
        let server = NBDServer(
            device: device, name: "\(reference)", path: socket, limits: limits, logger: .commandLine
        ) { [options, socket] in
            // Through a sink: the program that started this one may read neither of its outputs.
            let ready = NBDJSON(ref: "\(reference)", socket: socket, bytes: device.byteCount)
            if options.json {
                try? Terminal.queueJSON(ready)
            } else if !options.quiet {
                LineSink.standardOutput.write("\(reference): \(Int(clamping: ready.bytes).inBytes) on \(socket)")
            }
        }
        try await server.run()
    }

    private static func result(_ body: () async throws -> Void) async -> Result<Void, any Error> {
        do { return .success(try await body()) } catch { return .failure(error) }
    }

    private func deviceOptions() throws -> DeviceOptions {
        guard let prefetch else { return DeviceOptions() }
        guard let mode = DeviceOptions.Prefetch(rawValue: prefetch) else {
            throw ValidationError("--prefetch '\(prefetch)' is none of trace, all and none.")
        }
        return DeviceOptions(prefetch: mode)
    }

    private func limits() throws -> NBDLimits {
        var limits = NBDLimits()
        guard let connections else { return limits }
        guard (1...10_000).contains(connections) else {
            throw ValidationError("--connections '\(connections)' is not a number from 1 to 10000.")
        }
        limits.connections = connections
        return limits
    }
}

/// What `nbd --json` prints once clients can connect (docs/OPERATIONS.md, "JSON").
private struct NBDJSON: Encodable {
    let ref: String
    let socket: String
    let bytes: UInt64
}
