internal import CacheCore
internal import Logging
internal import NIOConcurrencyHelpers
internal import NIOCore
internal import NIOPosix

/// The L2 daemons that there are: those that were named, and those behind names, which are looked up again as long as
/// there are reads.
///
/// A lookup that fails, or finds nothing, changes nothing. Who goes away ends what it has under way; who comes is
/// warmed up, but for those that are found first.
final class L2Members: Sendable {
    /// The daemons at one moment, and their names in the same order.
    struct Ring: Sendable {
        fileprivate(set) var nodes: [L2Node] = []
        fileprivate(set) var names: [String] = []
    }

    private struct State {
        var ring = Ring()
        /// What each name was found to be last.
        var found: [L2Address: [String]] = [:]
        var nextNumber = 0
        var nextLookup = Duration.zero
        var underWay: Task<Void, Never>?
        var complaints: Set<String> = []
        var isClosed = false
    }

    /// More daemons than that are left aside, those that come last in order of their addresses.
    static let most = 256

    private let settings: L2Settings
    private let sources: Set<L2Source>
    private let names: [L2Address]
    private let make: @Sendable (_ address: L2Address, _ number: Int, WarmUp?) -> L2Node
    private let deadlines: Deadlines
    private let logger: Logger
    private let state = NIOLockedValueBox(State())
    /// Lookups block: one at a time, on a thread that nothing else needs. `nil` where there are no names.
    private let resolver: NIOThreadPool?

    /// Reads the files of the settings. Blocks.
    init(
        _ settings: L2Settings, load: ReadLoad, commons: L2Commons, deadlines: Deadlines, buffers: BufferPool,
        logger: Logger
    ) throws {
        self.settings = settings
        sources = Set(try settings.urls.map { url throws(CacheError) in try L2Source(parsing: url) })
        names = sources.compactMap { if case .name(let name) = $0 { name } else { nil } }.sorted()
        let access = try settings.security.access(to: Set(sources.map(\.address)), logger: logger)
        make = { address, number, warmUp in
            let budget = L2Budget(settings.patience, commons, load: load, time: deadlines.time)
            return L2Node(
                number: number,
                connections: L2ConnectionPool(
                    address, access, maximum: settings.connections,
                    connectTimeout: TimeAmount(min(settings.deadline, settings.connectTimeout)),
                    deadlines: deadlines, buffers: buffers, stretch: budget.stretched),
                budget: budget, warmUp: warmUp, time: deadlines.time)
        }
        self.deadlines = deadlines
        self.logger = logger
        resolver = names.isEmpty ? nil : NIOThreadPool(numberOfThreads: 1)
        resolver?.start()
        state.withLockedValue { update(&$0, isFirst: true) }
    }

    /// The daemons now. Has names looked up beside the caller, if that was a while ago.
    var ring: Ring {
        state.withLockedValue { state in
            if !names.isEmpty { beginLookup(&state) }
            return state.ring
        }
    }

    var all: [L2Node] { state.withLockedValue { $0.ring.nodes } }

    func node(_ number: Int) -> L2Node? { all.first { $0.number == number } }

    /// How those do that may be asked instead; `nil` if it is the only daemon.
    func pace(besides node: L2Node) -> RingPace? {
        let nodes = all
        guard nodes.count > 1 else { return nil }
        let now = deadlines.time.now()
        let others = nodes.filter { $0 !== node }.compactMap { other in
            other.state.withLockedValue { state in
                state.health.isTrusted(now: now) ? (state.times, state.lateness.score) : nil
            }
        }
        func middle(_ times: [Duration]) -> Duration? { times.isEmpty ? nil : times.sorted()[times.count / 2] }
        return RingPace(
            median: middle(others.compactMap { $0.0.median }), high: middle(others.compactMap { $0.0.high }),
            scores: others.map(\.1), count: nodes.count)
    }

    // MARK: Names

    /// Looks names up for the first time, and waits for that no longer than `duration`.
    func start(within duration: Duration) async {
        guard !names.isEmpty else { return }
        let lookup = state.withLockedValue { beginLookup(&$0) }
        // A resolver that takes longer is told of when it comes back.
        try? await deadlines.run(duration, "the names of L2") { await lookup?.value }
    }

    @discardableResult
    private func beginLookup(_ state: inout State) -> Task<Void, Never>? {
        let now = deadlines.time.now()
        guard state.underWay == nil, now >= state.nextLookup, !state.isClosed, let resolver else {
            return state.underWay
        }
        state.nextLookup = now + settings.lookupInterval
        let task = Task { [self] in
            for name in names {
                let result: Result<[String], any Error>
                do {
                    result = .success(
                        try await resolver.runIfActive { [resolve = settings.resolve] in try resolve(name.host) })
                } catch {
                    result = .failure(error)
                }
                arrived(result, for: name)
            }
            self.state.withLockedValue { $0.underWay = nil }
        }
        state.underWay = task
        return task
    }

    private func arrived(_ result: Result<[String], any Error>, for name: L2Address) {
        let complaint: String?
        switch result {
        case .success(let addresses) where !addresses.isEmpty:
            complaint = nil
            state.withLockedValue { state in
                guard !state.isClosed else { return }
                state.complaints.remove(name.description)
                let before = state.found.updateValue(addresses, forKey: name)
                if before != addresses { update(&state, isFirst: before == nil) }
            }
        case .success: complaint = "it has no addresses"
        case .failure(let error): complaint = "\(error)"
        }
        guard let complaint, state.withLockedValue({ $0.complaints.insert(name.description).inserted }) else { return }
        logger.warning(
            "the name of L2 cannot be looked up: going on with the daemons that are known",
            metadata: ["name": "\(name.host)", "error": "\(complaint)"])
    }

    /// Makes the ring that sources and lookups say.
    /// - Parameter isFirst: whether who is new now was there before, for all that is known.
    private func update(_ state: inout State, isFirst: Bool) {
        var wanted: Set<L2Address> = []
        for source in sources {
            switch source {
            case .daemon(let address): wanted.insert(address)
            case .name(let name): for place in state.found[name] ?? [] { wanted.insert(L2Address(name, at: place)) }
            }
        }
        let addresses = wanted.sorted().prefix(Self.most)
        if wanted.count > Self.most, state.complaints.insert("").inserted {
            logger.warning("L2 has more daemons than can be used", metadata: ["most": "\(Self.most)"])
        }
        let before = Dictionary(uniqueKeysWithValues: state.ring.nodes.map { ($0.address, $0) })
        let now = deadlines.time.now()
        let nodes = addresses.map { address in
            if let node = before[address] { return node }
            state.nextNumber += 1
            return make(address, state.nextNumber, isFirst ? nil : WarmUp(at: now))
        }
        state.ring = Ring(nodes: nodes, names: nodes.map(\.address.description))
        for node in nodes { node.budget.share(among: nodes.count) }
        for (address, node) in before where !wanted.contains(address) { node.connections.retire() }
    }

    func close() async {
        let (nodes, lookup) = state.withLockedValue { state in
            state.isClosed = true
            return (state.ring.nodes, state.underWay)
        }
        lookup?.cancel()
        for node in nodes { await node.connections.close() }
        // A lookup that hangs is not waited for.
        resolver?.shutdownGracefully { _ in }
    }
}
