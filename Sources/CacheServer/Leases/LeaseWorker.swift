internal import CacheChunks
internal import NIOCore
internal import Synchronization

/// A worker that takes leases: one process, whose connections all give the same name.
///
/// While anything comes from it on any of them it is alive and at work, and so are its leases.
final class LeaseWorker: Sendable {
    /// 128 random bits that a worker chooses; as text 32 hexadecimal digits.
    struct Name: Hashable, Sendable {
        private let bits: LeaseToken

        /// `nil` for what is no name.
        init?(_ text: String) {
            guard let bits = LeaseToken(text) else { return nil }
            self.bits = bits
        }
    }

    let name: Name
    private let heardAt: Atomic<UInt64>

    fileprivate init(_ name: Name, at now: NIODeadline) {
        self.name = name
        heardAt = Atomic(now.uptimeNanoseconds)
    }

    var heard: NIODeadline { .uptimeNanoseconds(heardAt.load(ordering: .relaxed)) }

    /// Something has come from it.
    func hear(at now: NIODeadline) { heardAt.store(now.uptimeNanoseconds, ordering: .relaxed) }
}

/// The workers that have connections or leases, and which.
struct LeaseWorkers: Sendable {
    private struct Entry {
        let worker: LeaseWorker
        var connections = 0
        var held: Set<ChunkID> = []
    }

    private var entries: [LeaseWorker.Name: Entry] = [:]
    /// How many have connections.
    private(set) var connected = 0

    /// One more connection gives that name.
    mutating func join(_ name: LeaseWorker.Name, at now: NIODeadline) -> LeaseWorker {
        var entry = entries[name] ?? Entry(worker: LeaseWorker(name, at: now))
        if entry.connections == 0 { connected += 1 }
        entry.connections += 1
        entries[name] = entry
        return entry.worker
    }

    /// One connection less; what the worker holds, if that was the last one.
    mutating func depart(_ worker: LeaseWorker) -> Set<ChunkID> {
        entries[worker.name]?.connections -= 1
        guard let entry = entries[worker.name], entry.connections == 0 else { return [] }
        connected -= 1
        forgetIfGone(worker)
        return entry.held
    }

    mutating func hold(_ id: ChunkID, _ worker: LeaseWorker) { entries[worker.name]?.held.insert(id) }

    mutating func drop(_ id: ChunkID, _ worker: LeaseWorker) {
        entries[worker.name]?.held.remove(id)
        forgetIfGone(worker)
    }

    private mutating func forgetIfGone(_ worker: LeaseWorker) {
        if let entry = entries[worker.name], entry.connections == 0, entry.held.isEmpty {
            entries[worker.name] = nil
        }
    }
}
