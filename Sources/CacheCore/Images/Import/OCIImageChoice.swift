internal import CacheBase

/// Which image of an index it is: the only one, or the only one for this machine. Several that fit are an error that
/// lists them, as any of them could be meant.
struct OCIImageChoice {
    struct Candidate {
        let descriptor: OCIDescriptor
        var platform: OCIPlatform
        /// The names that it has in the layout, and its digest.
        var label: String {
            let name =
                descriptor.annotation(OCIAnnotation.containerdName)
                ?? descriptor.annotation(
                    OCIAnnotation.referenceName)
            return "\(descriptor.digest) (\([platform.description, name].compactMap { $0 }.joined(separator: ", ")))"
        }
    }

    private static let mostListed = 20

    /// What is chosen from, as messages call it.
    let name: String
    /// How one of them is written, up to its digest.
    let form: String
    /// What the configuration of a candidate says that it runs on; read only where the index does not say.
    let platform: (OCIDescriptor) throws -> OCIPlatform

    func choose(from descriptors: [OCIDescriptor]) throws -> OCIDescriptor {
        let images = descriptors.filter { !$0.isNoImage }.uniqued()
        if images.count == 1 { return images[0] }
        // What it is instead is found where it is read.
        if images.isEmpty, descriptors.uniqued().count == 1 { return descriptors[0] }
        guard !images.isEmpty else {
            throw CacheError(
                .invalidInput, "\(name) has no image" + (descriptors.isEmpty ? "" : ", only what describes others"))
        }
        let candidates = try images.map { descriptor in
            var known = descriptor.platform ?? OCIPlatform(architecture: nil, os: nil)
            if !known.isComplete { known = known.completed(by: try configured(descriptor)) }
            return Candidate(descriptor: descriptor, platform: known)
        }
        for machine in [OCIPlatform.host, OCIPlatform(architecture: "amd64", os: "linux")] {
            var fitting = candidates.filter { $0.platform.isSameMachine(as: machine) }
            if fitting.count > 1, fitting.contains(where: \.platform.isBaseline) {
                fitting.removeAll { !$0.platform.isBaseline }
            }
            if fitting.count == 1 { return fitting[0].descriptor }
            if fitting.count > 1 { throw ambiguous(fitting, "different images for \(machine)") }
        }
        throw ambiguous(candidates, "images and none for this machine")
    }

    /// The platform by the configuration; an empty one, which fits no machine, for what is no image or is not in the
    /// layout.
    private func configured(_ descriptor: OCIDescriptor) throws -> OCIPlatform {
        do {
            return try platform(descriptor)
        } catch let error as CacheError where [.invalidInput, .unsupported, .missing].contains(error.code) {
            return OCIPlatform(architecture: nil, os: nil)
        }
    }

    private func ambiguous(_ candidates: [Candidate], _ what: String) -> CacheError {
        let listed = candidates.prefix(Self.mostListed).map(\.label).joined(separator: ", ")
        let more = candidates.count > Self.mostListed ? " and \(candidates.count - Self.mostListed) more" : ""
        return CacheError(
            .invalidInput,
            "\(name) has \(candidates.count) \(what): \(listed)\(more): choose one with \(form)@sha256:...")
    }
}

extension [OCIDescriptor] {
    /// One of each digest: an image can be listed twice, and is one image then.
    func uniqued() -> [OCIDescriptor] {
        var seen: Set<String> = []
        return filter { seen.insert($0.digest).inserted }
    }
}
