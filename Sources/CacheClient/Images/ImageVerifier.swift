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
        /// Distinct chunks of each layer and of the index, zero chunks left out.
        public var chunks = 0
        /// Bytes of all layers, uncompressed.
        public var bytes = 0
        /// One line for each chunk, layer or index that is not right.
        public var problems: [String] = []
    }

    /// Rebuilds every layer and compares it with its diffID, merges the entry tables as a pull to a directory does, and
    /// compares the image's metadata as a device with what these say. Where a layer cannot be rebuilt, reads each of
    /// its chunks, so that all that is wrong is named.
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
        let index = try await index(addingTo: &report)
        if report.problems.isEmpty, let problem = try await problemOfTree(and: index) {
            report.problems.append(problem)
        }
        return report
    }

    /// The index, if there is one that can be opened; reads all of its chunks.
    private func index(addingTo report: inout Report) async throws -> ImageIndex? {
        do {
            guard let index = try await image.index() else { return nil }
            let refs = Set(index.metadata.filter { !$0.isZero })
            report.chunks += refs.count
            report.problems += try await problems(of: refs, in: index)
            return index
        } catch let error as CacheError where [.corrupt, .missing].contains(error.code) {
            report.problems.append(error.description)
            return nil
        }
    }

    /// Why the layers, each of them whole, cannot be unpacked over one another, or make another device than the index
    /// says; `nil` if nothing is wrong.
    private func problemOfTree(and index: ImageIndex?) async throws -> String? {
        guard image.layers.allSatisfy({ $0.kind == .tar }) else { return nil }
        let pool = NIOThreadPool(numberOfThreads: 1)
        pool.start()
        var problem: String?
        do {
            let tree = try await image.tree(on: pool)
            _ = try ContentPlan(tree, slots: image.regionSlots)
            // What another version of the writer has made is as good, and cannot be compared.
            if let index, index.writerVersion == ErofsWriter.version {
                problem = try await difference(between: tree, and: index)
            }
        } catch let error as CacheError where [.invalidInput, .limitExceeded, .corrupt].contains(error.code) {
            problem = error.description
        } catch {
            try await pool.shutdownGracefully()
            throw error
        }
        try await pool.shutdownGracefully()
        return problem
    }

    private func difference(between tree: ImageTree, and index: ImageIndex) async throws -> String? {
        let writer = try ErofsWriter.describable(tree: tree, regionSlots: image.regionSlots)
        let outline = ImageIndex(describing: writer, generation: index.generation, metadata: index.metadata)
        var isSame = outline == index
        let chunks = MetadataChunks(writer, buffers: BufferPool(bytes: ChunkLimits.plainBytes, maximumIdle: 1))
        for ref in index.metadata where isSame { isSame = chunks.next()?.bytes == (try await chunk(ref, of: index)) }
        if isSame, chunks.next() == nil { return nil }
        return "the index of the image does not show the files of its layers: push the image again with --repair"
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
        try await problems(of: layer.manifest.distinctRefs) { _ = try await layer.chunk($0) }
    }

    private func problems(of refs: Set<ChunkRef>, in index: ImageIndex) async throws -> [String] {
        try await problems(of: refs) { _ = try await chunk($0, of: index) }
    }

    private func chunk(_ ref: ChunkRef, of index: ImageIndex) async throws -> ByteBuffer {
        try await image.origin.reader.chunk(
            ChunkRequest(ref: ref, generation: index.generation, counter: image.origin.counter))
    }

    /// Reads chunks, many at once, and says what is wrong with them.
    private func problems(
        of refs: Set<ChunkRef>, reading read: @escaping @Sendable (ChunkRef) async throws -> Void
    ) async throws -> [String] {
        let readAhead = max(image.origin.reader.configuration.readAhead, 1)
        return try await withThrowingTaskGroup(of: String?.self) { group in
            var problems: [String] = []
            for (index, ref) in refs.enumerated() {
                if index >= readAhead, let result = try await group.next(), let line = result {
                    problems.append(line)
                }
                group.addTask {
                    do {
                        try await read(ref)
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
