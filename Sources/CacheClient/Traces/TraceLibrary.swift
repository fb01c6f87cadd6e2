internal import CacheCore
internal import Logging
internal import NIOConcurrencyHelpers

/// The traces of images: in L3 beside the image, or on this host, beside L1, where L3 takes none.
///
/// Nothing that goes wrong here fails a device: it is then as if there were no trace.
final class TraceLibrary: Sendable {
    /// Whose trace.
    struct Owner: Sendable {
        let image: ManifestID
        let generation: Generation
        let keys: TenantKeys
    }

    private let l3: TraceStore
    private let directory: String?
    private let host = NIOLockedValueBox<TraceStore?>(nil)
    private let deadlines: Deadlines
    private let l1Deadline: Duration
    private let logger: Logger

    /// How long a run's trace may take to be put into L3.
    private static let patience = Duration.seconds(5)
    /// The most traces that a host keeps: some kilobytes each.
    private static let maximumOnHost = 256

    init(_ configuration: CacheConfiguration, l3: any ObjectStore, deadlines: Deadlines, logger: Logger) {
        self.l3 = TraceStore(
            DeadlineObjectStore(l3, deadline: configuration.l3Settings.deadline, deadlines: deadlines))
        directory = configuration.l1Directory.map { "\($0)/traces" }
        l1Deadline = configuration.l1Settings.deadline
        self.deadlines = deadlines
        self.logger = logger
    }

    /// The trace of an image: L3's, or that of this host if L3 has none or does not say; `nil` if there is none.
    func find(_ owner: Owner) async -> ImageTrace? {
        let inL3 = await noting("L3", owner) {
            try await l3.read(of: owner.image, in: owner.generation, keys: owner.keys)
        }
        if let inL3, inL3.runs > 0 { return inL3 }
        guard let store = hostStore else { return inL3 }
        return await noting("this host", owner) {
            try await store.read(of: owner.image, in: owner.generation, keys: owner.keys)
        } ?? inL3
    }

    /// The trace in L3, for people.
    /// - Throws: what is wrong with it, and as L3 does.
    func read(_ owner: Owner) async throws -> ImageTrace? {
        if let trace = try await l3.read(of: owner.image, in: owner.generation, keys: owner.keys) { return trace }
        return try await hostStore?.read(of: owner.image, in: owner.generation, keys: owner.keys)
    }

    /// Adds a run to the trace of an image, unless others have recorded enough of them meanwhile; on this host if L3
    /// does not take it.
    func add(_ run: ImageTrace, _ owner: Owner, maximumRuns: Int) async {
        let merge: @Sendable (ImageTrace?) -> ImageTrace? = { present in
            guard let present, present.runs > 0 else { return run }
            return present.runs < maximumRuns ? present.merged(with: run) : nil
        }
        do {
            // Who unmounts does not wait for an L3 that hangs.
            _ = try await deadlines.run(Self.patience, "L3") { [l3] in
                try await l3.update(of: owner.image, in: owner.generation, keys: owner.keys, merge)
            }
            return
        } catch {
            logger.debug("L3 does not take a trace", metadata: ["image": "\(owner.image)", "error": "\(error)"])
        }
        guard let store = hostStore else { return }
        _ = await noting("this host", owner) {
            if try await store.update(of: owner.image, in: owner.generation, keys: owner.keys, merge) {
                try await store.keepOnly(Self.maximumOnHost, with: owner.image, in: owner.generation)
            }
            return nil
        }
    }

    /// Puts a trace into L3, whatever is there.
    /// - Throws: as L3 does.
    func replace(_ owner: Owner, by trace: ImageTrace) async throws {
        _ = try await l3.update(of: owner.image, in: owner.generation, keys: owner.keys) { _ in trace }
        _ = try await hostStore?.remove(of: owner.image, in: owner.generation)
    }

    /// Removes the trace, here and in L3; whether there was one.
    /// - Throws: as L3 does.
    func remove(_ owner: Owner) async throws -> Bool {
        let wasHere = try await hostStore?.remove(of: owner.image, in: owner.generation) ?? false
        return try await l3.remove(of: owner.image, in: owner.generation) || wasHere
    }

    /// Beside L1's chunks; opened by the first call that asks it for something.
    private var hostStore: TraceStore? {
        guard let directory else { return nil }
        return host.withLockedValue { host in
            if let host { return host }
            let late = LateObjectStore { try FileObjectStore(root: directory, create: true, threads: 1) }
            let store = TraceStore(DeadlineObjectStore(late, deadline: l1Deadline, deadlines: deadlines))
            host = store
            return store
        }
    }

    /// `nil`, with a line in the log, if that cannot be done.
    private func noting(
        _ place: String, _ owner: Owner, _ body: () async throws -> ImageTrace?
    ) async -> ImageTrace? {
        do { return try await body() } catch {
            // What is damaged is worth a look; what is away is told by others.
            let isDamaged = [.corrupt, .unsupported].contains((error as? CacheError)?.code)
            logger.log(
                level: isDamaged ? .warning : .debug, "a trace is not used",
                metadata: ["image": "\(owner.image)", "where": "\(place)", "error": "\(error)"])
            return nil
        }
    }
}
