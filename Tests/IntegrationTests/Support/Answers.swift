/// What `push --json` prints.
struct PushAnswer: Decodable {
    struct Chunks: Decodable {
        let total, zero, new: Int
    }
    struct Bytes: Decodable {
        let logical, new, uploaded: Int
    }
    struct Index: Decodable {
        let chunks: Int
        let device: UInt64
    }
    struct Warm: Decodable {
        struct Count: Decodable, Equatable {
            let chunks, bytes: Int
        }
        let chunks, bytes: Int
        let arrived, stored: Count
        let problems: [String]
    }
    let index: Index?
    let warm: Warm?
    let ref, manifest: String
    let chunks: Chunks
    let bytes: Bytes
    let seconds: Double
}

/// What `pull --json` prints.
struct PullAnswer: Decodable {
    struct Chunks: Decodable {
        let total, zero: Int
    }
    struct Tier: Decodable {
        let chunks, bytes: Int
    }
    struct Tiers: Decodable {
        let memory, l1, l2, l3: Tier
    }
    struct Repaired: Decodable {
        let l1, l2: Int
    }
    let ref: String
    let bytes: Int
    let chunks: Chunks
    let tiers: Tiers
    let repaired: Repaired
    let refChecked: Bool?
    let seconds: Double
}

/// What `inspect --json` prints.
struct InspectAnswer: Decodable {
    struct Layer: Decodable {
        let diffID: String
    }
    struct Index: Decodable {
        let manifest: String
        let bytes, metadata: UInt64
        let stored, chunks, extents: Int
    }
    let configDigest: String?
    let index: Index?
    let layers: [Layer]
}
