internal import CacheCore
internal import NIOCore
internal import NIOPosix

/// Reads all of an image and says what is wrong with it.
public struct ImageVerifier: Sendable {
    private let image: CachedImage

    /// - Parameter image: opened from a cache without L1, L2 and memory, so that every chunk comes from L3.
    public init(_ image: CachedImage) {
        self.image = image
    }

    /// What a verification found.
    public struct Report: Sendable {
        /// Distinct chunks, zero chunks left out.
        public var chunks = 0
        /// Bytes of all layers, uncompressed.
        public var bytes = 0
        /// One line for each chunk or layer that is not right.
        public var problems: [String] = []
    }

    /// Rebuilds every layer and compares it with its diffID, and merges the entry tables as a pull to a directory does.
    /// Where a layer cannot be rebuilt, reads each of its chunks, so that all that is wrong is named.
    public func verify(progress: PullProgress = PullProgress()) async throws -> Report {
        var report = Report()
        for layer in image.layers {
            report.chunks += layer.manifest.distinctRefs.count
            report.bytes += layer.byteCount
            do {
                try await rebuild(layer, progress)
            } catch let error as CacheError where [.corrupt, .missing].contains(error.code) {
                let problems = try await self.problems(of: layer)
                report.problems += problems.isEmpty ? [error.description] : problems
            }
        }
        if report.problems.isEmpty, let problem = try await problemOfTree() { report.problems.append(problem) }
        return report
    }

    /// Why the layers, each of them whole, cannot be unpacked over one another; `nil` if they can.
    private func problemOfTree() async throws -> String? {
        guard image.layers.allSatisfy({ $0.kind == .tar }) else { return nil }
        let pool = NIOThreadPool(numberOfThreads: 1)
        pool.start()
        var problem: String?
        do {
            let tree = try await image.tree(on: pool)
            _ = try ContentPlan(tree, slots: image.layers.map(\.manifest.data.count))
        } catch let error as CacheError where [.invalidInput, .limitExceeded, .corrupt].contains(error.code) {
            problem = error.description
        } catch {
            try await pool.shutdownGracefully()
            throw error
        }
        try await pool.shutdownGracefully()
        return problem
    }

    private func rebuild(_ layer: CachedLayer, _ progress: PullProgress) async throws {
        var hash = SHA256Stream()
        for try await bytes in LayerBytes(layer: layer, use: .recycled) {
            bytes.withUnsafeReadableBytes { hash.update($0) }
            progress.add(bytes.readableBytes)
            layer.recycle(bytes)
        }
        let digest = hash.finish()
        guard digest == layer.diffID else {
            throw CacheError(
                .corrupt, "layer \(layer.id) rebuilds to sha256:\(digest), not to its diffID sha256:\(layer.diffID)")
        }
        // The tar needs no entry table, but a reader of files does.
        for try await _ in layer.entries {}
    }

    private func problems(of layer: CachedLayer) async throws -> [String] {
        let refs = layer.manifest.distinctRefs
        return try await withThrowingTaskGroup(of: String?.self) { group in
            var problems: [String] = []
            for (index, ref) in refs.enumerated() {
                if index >= layer.readAhead, let result = try await group.next(), let line = result {
                    problems.append(line)
                }
                group.addTask {
                    do {
                        _ = try await layer.chunk(ref)
                        return nil
                    } catch let error as CacheError where [.corrupt, .missing].contains(error.code) {
                        return error.description
                    }
                }
            }
            for try await line in group { if let line { problems.append(line) } }
            return problems.sorted()
        }
    }
}
