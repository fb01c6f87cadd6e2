internal import CacheCore

/// Says what a ref names: L3's word or, while L3 is away, what this host saw last.
struct RefResolver: Sendable {
    let l3: any ObjectStore
    let refs: RememberedRefs?
    let configuration: CacheConfiguration
    let deadlines: Deadlines

    struct Answer: Sendable {
        let record: RefRecord
        /// When L3 was asked for what the record says.
        let seenAt: UInt64
        /// Whether L3 was there to say so now.
        let isChecked: Bool
        /// What the host remembered until now.
        let remembered: RememberedRef?
    }

    /// - Throws: `.missing` if L3 has no such ref; `.corrupt` or `.unsupported` that names its object; with L3 away and
    ///   nothing remembered, what L3 failed with, after no longer than L3's deadline.
    func read(_ reference: ImageReference, _ keys: TenantKeys) async throws -> Answer {
        let remembered = try await refs?.find(reference, keys)
        let seenAt = configuration.now()
        let deadline =
            remembered == nil ? configuration.l3Deadline : min(configuration.refDeadline, configuration.l3Deadline)
        do {
            let record = try await deadlines.run(deadline, "L3, asked for \(reference),") { [l3] () -> RefRecord? in
                if let record = try await RefStore(l3).read(reference) { return record }
                // A directory on which nothing is mounted is empty, and so is no L3 of which this host has seen a ref.
                guard remembered != nil, try await ActiveGeneration.generations(in: l3).isEmpty else { return nil }
                throw CacheError(.missing, "L3 has no generation at all: is it mounted?")
            }
            guard let record else {
                refs?.forget(reference, seenUpTo: seenAt, keys)
                throw Absence(reference: reference)
            }
            return Answer(record: record, seenAt: seenAt, isChecked: true, remembered: remembered)
        } catch let absence as Absence {
            throw CacheError(.missing, "there is no image \(absence.reference) in L3: see 'layercache ls'")
        } catch let error as CacheError where [.io, .timedOut, .missing].contains(error.code) {
            if let remembered {
                return Answer(
                    record: remembered.record, seenAt: remembered.seenAt, isChecked: false, remembered: remembered)
            }
            guard refs != nil else { throw error }
            throw CacheError(error.code, "L3 is away and this host has not seen \(reference)", cause: error)
        }
    }

    /// L3 is there, and the reference is not.
    private struct Absence: Error {
        let reference: ImageReference
    }
}
