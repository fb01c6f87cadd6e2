internal import Synchronization

/// A lease: a tier's permission for this process to fill one chunk for all who wait for it there.
///
/// Whatever becomes of the fill, nobody waits in vain: a lease that is not settled when the last reference to it goes
/// is given up, so that the next in line may fill.
final class FillLease: Sendable {
    /// What the tier knows it by.
    let token: String
    private let isSettled = Atomic<Bool>(false)
    private let giveUp: @Sendable (_ token: String) -> Void

    /// - Parameter giveUp: is called at most once, and must be short.
    init(_ token: String, giveUp: @escaping @Sendable (_ token: String) -> Void) {
        self.token = token
        self.giveUp = giveUp
    }

    /// The tier has ended the lease: by a fill, or by its answer to one.
    func settle() { isSettled.store(true, ordering: .relaxed) }

    deinit {
        if !isSettled.load(ordering: .relaxed) { giveUp(token) }
    }
}

/// That a tier has no right copy of a chunk, and is to be filled.
struct TierGap: Sendable {
    /// Of the one who fills for all; `nil` where others may fill it, too.
    var lease: FillLease?
    /// Which of the tier's daemons has none; `nil` for the one where it would be looked for.
    var place: Int?
    /// What comes of telling the tier that its copy is damaged; `nil` where it had none.
    var report: Task<DamageVerdict, Never>?
}

/// What a tier made of a report that its copy of a chunk is damaged.
enum DamageVerdict: Sendable, Hashable {
    /// It has no copy any more: a fill repairs it.
    case dropped
    /// Its copy is right, and needs no fill: the bytes were damaged on their way.
    case sound
    /// It did not say.
    case unknown
}
