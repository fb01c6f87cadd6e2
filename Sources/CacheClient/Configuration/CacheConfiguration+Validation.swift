public import CacheCore

extension CacheConfiguration {
    /// Checks every limit; ``LayerCache/open(_:logger:)`` does it first. Looks at no file and asks no tier.
    ///
    /// - Throws: `.invalidInput` that names the first value no cache could run with.
    public func validate() throws(CacheError) {
        func check(_ valid: Bool, _ what: @autoclosure () -> String) throws(CacheError) {
            guard valid else { throw CacheError(.invalidInput, "cache configuration: \(what())") }
        }
        if l1Directory != nil {
            let range = UInt64(4 << 20)...UInt64(16 << 40)
            try check(range.contains(l1Capacity), "l1Capacity of \(l1Capacity) bytes is not from 4 MiB to 16 TiB")
        }
        try check(memoryBytes >= 0, "memoryBytes of \(memoryBytes) is negative: 0 keeps nothing in memory")
        try check(l3Concurrency >= 1, "l3Concurrency of \(l3Concurrency) lets nobody read L3: use at least 1")
        try check(l3Queue >= 1, "l3Queue of \(l3Queue) refuses every image: use at least 1")
        try check(l2Connections >= 1, "l2Connections of \(l2Connections) lets nobody ask L2: use at least 1, or no l2")
        let security = l2Security
        try check(
            (security.certificateFile == nil) == (security.keyFile == nil),
            "l2Security needs a certificate and its key, or neither")
        try check(fillBytes >= 1, "fillBytes of \(fillBytes) lets nothing be filled: use at least 1")
        try check(readAhead >= 1, "readAhead of \(readAhead) reads nothing: use at least 1")
        if let threads { try check((1...1_024).contains(threads), "threads of \(threads) is not from 1 to 1024") }
        for (name, deadline) in [
            ("l1Deadline", l1Deadline), ("l2Deadline", l2Deadline), ("l3Deadline", l3Deadline),
            ("l2Patience", l2Patience), ("l2Wait", l2Wait), ("refDeadline", refDeadline),
        ] {
            try check(deadline > .zero, "\(name) of \(deadline) is over before it begins: use for example .seconds(5)")
        }
    }
}
