internal import CacheBase
public import CacheChunks
internal import CacheCrypto
internal import CacheFiles
public import CacheObjectStore

/// The generation that new chunks go to, and its salt: what a push works with.
public struct ActiveGeneration: Sendable {
    public let generation: Generation
    public let salt: GenerationSalt
    /// What became of a damaged state; `nil` if it was whole.
    public var repair: StateRepair?

    /// Finds the active generation of a store, or creates the first one.
    ///
    /// Two that create at the same time get the same one. Costs one listing and one read.
    /// - Parameters:
    ///   - create: whether to create one if none is active; `.missing` is thrown otherwise.
    ///   - repair: whether a state of the newest generation that is damaged or gone is made anew (see ``StateRepair``).
    ///   - now: milliseconds since 1970, kept in the state of a new one.
    /// - Throws: `.key` if the store was made with another deployment key; `.corrupt` or `.missing` that names a state
    ///   which is damaged or gone.
    public static func find(
        in store: any ObjectStore, deploymentKey: DeploymentKey, create: Bool, repair: Bool = false, now: UInt64
    ) async throws -> ActiveGeneration {
        let known = try await generations(in: store)
        for generation in known.reversed() {
            do {
                if let active = try await open(generation, in: store, deploymentKey) { return active }
            } catch let error as CacheError where repair && generation == known.last {
                let repair = try await StateRepair.make(generation, in: store, deploymentKey, after: error, now: now)
                guard var active = try await open(generation, in: store, deploymentKey) else { continue }
                active.repair = repair
                return active
            }
        }
        guard create else {
            throw CacheError(.missing, "the object store has no active generation: push to it first")
        }
        guard let next = Generation((known.last?.number ?? 0) + 1) else {
            throw CacheError(
                .limitExceeded, "the object store has had all \(Generation.maximum) generations it can have")
        }
        let state = GenerationState.seal(
            GenerationSalt(SecureRandom.key()), generation: next, status: .active, createdAt: now,
            key: deploymentKey)
        _ = try await store.putIfAbsent(L3Layout.state(of: next), state)
        // Read back, since another push may have created the same generation first: what the store has counts.
        guard let active = try await open(next, in: store, deploymentKey) else {
            throw CacheError(.conflict, "generation \(next) was created and retired just now: try again")
        }
        return active
    }

    /// All generations of a store, oldest first. Costs one call for each thousand.
    public static func generations(in store: any ObjectStore) async throws -> [Generation] {
        var found: [Generation] = []
        var after: String?
        repeat {
            let page = try await store.list(prefix: L3Layout.generations, delimiter: true, after: after, limit: 1000)
            // It may be a link to a generation that was moved elsewhere; if it were passed over, an older one would be
            // taken for the newest.
            if let foreign = page.foreign.first { throw CacheError.foreign(foreign) }
            found += page.prefixes.compactMap { prefix in
                Generation(name: prefix.dropFirst(L3Layout.generations.count).dropLast())
            }
            after = page.next
        } while after != nil
        return found
    }

    /// `nil` if it is not active.
    private static func open(
        _ generation: Generation, in store: any ObjectStore, _ key: DeploymentKey
    ) async throws -> ActiveGeneration? {
        let object = L3Layout.state(of: generation)
        guard let sealed = try await store.get(object, limit: GenerationState.byteCount)?.body else {
            throw CacheError(
                .missing,
                "object \(object) is gone, and with it the salt of that generation: restore it from a backup, or push"
                    + " with --repair to go on with a new salt"
            )
        }
        guard try GenerationState(reading: sealed, object: object).status == .active else { return nil }
        let salt = try GenerationState.openSalt(of: sealed, with: key, object: object)
        return ActiveGeneration(generation: generation, salt: salt)
    }
}
