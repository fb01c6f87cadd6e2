internal import CacheCore
internal import NIOCore
internal import NIOPosix

/// `dir:`: merges the layers' entry tables, and writes the files of that tree straight from the data regions.
///
/// Each chunk that holds bytes of a file is fetched and opened once; the thread that opened it makes and writes all
/// files in it. What no file needs any more, because an upper layer has replaced it, is not fetched. No tar is rebuilt,
/// so no diffID is compared: every chunk and every entry table is authenticated by a manifest, as for every other
/// reader; `verify` compares diffIDs.
struct DirectoryPuller: Sendable {
    let image: CachedImage
    let path: String
    let progress: PullProgress

    /// How many nodes a thread looks at before another one may go on.
    private static let nodesAtOnce = 4096

    /// - Returns: what could not be written as it was, a line each.
    func pull() async throws -> [String] {
        // Directories are made and removed on a thread of their own, which does not wait for chunks.
        let thread = NIOThreadPool(numberOfThreads: 1)
        // Chunks are opened and written by threads of this pull's own: plaintext is written out of the cache of the
        // core that made it, and a disk that is slow to take it holds up no other reader.
        let pool = NIOThreadPool(numberOfThreads: max(System.coreCount, 2))
        thread.start()
        pool.start()
        var destination: DirectoryDestination?
        do {
            let open = try await thread.runIfActive { [path] in try DirectoryDestination(path) }
            destination = open
            let notes = try await pull(to: open, thread, pool)
            try await pool.shutdownGracefully()
            try await thread.shutdownGracefully()
            return notes
        } catch {
            // All writes have ended before what was written is removed.
            try await pool.shutdownGracefully()
            if let destination { await Self.abandon(destination, thread) }
            try await thread.shutdownGracefully()
            throw error
        }
    }

    /// Not cut short when the pull was cancelled.
    private static func abandon(_ destination: DirectoryDestination, _ thread: NIOThreadPool) async {
        await withCheckedContinuation { continuation in
            thread.submit { _ in
                destination.abandon()
                continuation.resume()
            }
        }
    }

    private func pull(
        to destination: DirectoryDestination, _ thread: NIOThreadPool, _ pool: NIOThreadPool
    ) async throws -> [String] {
        let tree = try await image.tree(on: pool)
        let slots = image.layers.map(\.manifest.data.count)
        let plan = try await pool.runIfActive { try ContentPlan(tree, slots: slots) }
        let writer = try await thread.runIfActive { try TreeWriter(tree, plan, into: destination.root) }
        return try await withTaskCancellationHandler {
            try await thread.runIfActive { try writer.makeDirectories() }
            try await writeFiles(of: tree, plan, writer, pool)
            try await thread.runIfActive {
                try writer.makeFurtherNames()
                try destination.commit(writer)
            }
            return writer.omissions
        } onCancel: {
            writer.cancel()
        }
    }

    private func writeFiles(
        of tree: ImageTree, _ plan: ContentPlan, _ writer: TreeWriter, _ pool: NIOThreadPool
    ) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            var underWay = 0
            for chunk in plan.chunks {
                let layer = image.layers[chunk.layer]
                if underWay >= layer.readAhead {
                    try await group.next()
                    underWay -= 1
                }
                group.addTask { try await write(chunk, of: layer, writer, pool) }
                underWay += 1
            }
            for start in stride(from: 0, to: tree.count, by: Self.nodesAtOnce) {
                let nodes = start..<min(start + Self.nodesAtOnce, tree.count)
                group.addTask { try await pool.runIfActive { try writer.makeEmptyOnes(nodes) } }
            }
            try await group.waitForAll()
        }
    }

    private func write(
        _ chunk: ContentPlan.Chunk, of layer: CachedLayer, _ writer: TreeWriter, _ pool: NIOThreadPool
    ) async throws {
        let ref = layer.manifest.data[chunk.slot]
        let delivery = ChunkDelivery(on: pool) { bytes in
            progress.add(try bytes.withUnsafeReadableBytes { try writer.write(chunk, $0) })
        }
        let bytes = try await layer.chunk(ref, use: .recycled, delivery: delivery)
        if !ref.isZero { layer.recycle(bytes) }
    }
}
