internal import CacheCore

/// Rendezvous hashing: each node scores an object, and the highest has it. A node that goes leaves its objects to the
/// second highest, each to another; a node that comes takes only what it scores highest.
///
/// The order is the same in every process, so all workers look for an object in the same places.
enum Rendezvous {
    /// One node, as one object sees it.
    struct Score: Comparable {
        /// Of the names that were given.
        let index: Int
        private let digest: SHA256Digest
        /// Where the object is among all objects of the node, from 0 up to 1.
        let point: Double

        fileprivate init(_ index: Int, _ digest: SHA256Digest) {
            self.index = index
            self.digest = digest
            // The last bytes: the first ones decide the order, and are high wherever a node comes first.
            let bits = digest.withUnsafeBytes { $0.loadUnaligned(fromByteOffset: 24, as: UInt64.self) }
            point = Double(bits >> 11) / Double(1 << 53 as UInt64)
        }

        static func < (one: Self, other: Self) -> Bool { one.digest < other.digest }
        static func == (one: Self, other: Self) -> Bool { one.digest == other.digest }
    }

    /// All nodes, the one that has the object first. Costs one hash a node.
    static func order(of id: ChunkID, among names: [String]) -> [Score] {
        if names.count == 1 { return [Score(0, id.digest)] }
        return names.indices.map { index in
            var hash = SHA256Stream()
            var name = names[index]
            name.withUTF8 { hash.update(UnsafeRawBufferPointer($0)) }
            id.digest.withUnsafeBytes { hash.update($0) }
            return Score(index, hash.finish())
        }.sorted(by: >)
    }
}
