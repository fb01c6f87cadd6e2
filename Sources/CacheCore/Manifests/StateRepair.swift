internal import CacheBase
internal import CacheChunks
internal import CacheCrypto
internal import CacheObjectStore
internal import NIOCore

/// What became of a generation's state that was damaged or gone.
///
/// Images that were pushed before need no state: each has the keys of its chunks in its manifest.
public enum StateRepair: Sendable, Hashable {
    /// What was damaged is known from elsewhere: the state is what it was.
    case restored
    /// The salt is lost. The generation goes on with a new one, under which equal content becomes other chunks.
    case newSalt

    /// A line for the one who pushed.
    package func note(on generation: Generation) -> String {
        let object = L3Layout.state(of: generation)
        return switch self {
        case .restored: "object \(object) was damaged and is what it was again"
        case .newSalt:
            "object \(object) was damaged or gone, and with it the salt: new chunks are made with another one and share"
                + " nothing with older ones; images that are there stay readable"
        }
    }

    /// Writes a state in place of one that could not be opened.
    ///
    /// - Parameter error: why it could not. One that was made with another deployment key, or by a newer version, is no
    ///   damage.
    static func make(
        _ generation: Generation, in store: any ObjectStore, _ key: DeploymentKey, after error: CacheError, now: UInt64
    ) async throws -> StateRepair {
        guard [.corrupt, .missing, .limitExceeded, .key, .unsupported].contains(error.code) else { throw error }
        let object = L3Layout.state(of: generation)
        let version = try await store.head(object)?.version
        let damaged = try await store.get(object, range: 0..<GenerationState.byteCount) ?? ByteBuffer()
        let repair: StateRepair
        let state: ByteBuffer
        if let restored = GenerationState.restored(damaged, generation, key: key) {
            (repair, state) = (.restored, restored)
        } else {
            guard error.code != .key, error.code != .unsupported else { throw error }
            // The newest generation is the active one: one that is retired has a newer one beside it.
            let salt = GenerationSalt(SecureRandom.key())
            state = GenerationState.seal(salt, generation: generation, status: .active, createdAt: now, key: key)
            repair = .newSalt
        }
        guard try await store.replace(object, state, expecting: version) != nil else {
            throw CacheError(.conflict, "object \(object) was repaired by somebody else just now: try again")
        }
        return repair
    }
}
