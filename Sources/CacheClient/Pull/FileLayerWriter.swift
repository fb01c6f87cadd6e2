internal import CacheCore
internal import NIOConcurrencyHelpers
internal import NIOCore
internal import NIOPosix

/// Writes a raw-file layer to a file: chunks in parallel, each at its place as soon as it is there; zero chunks stay
/// holes.
struct FileLayerWriter: Sendable {
    let layer: CachedLayer
    let path: String
    let progress: PullProgress

    /// Whether a new file may take the place of what is at `path`: never of a device or a pipe, which are written from
    /// front to back.
    static func canWrite(_ path: String) -> Bool {
        FileStatus.find(path).map { $0.kind == .regular } ?? true
    }

    /// Temporary file beside the destination, rename at the end. A chunk was authenticated when it was opened, and the
    /// manifest that names it when that was, so the file is not read again.
    func write() async throws {
        // Chunks are opened and written by threads of this pull's own: plaintext is written out of the cache of the
        // core that made it, and a disk that is slow to take it holds up no other reader.
        let pool = NIOThreadPool(numberOfThreads: max(System.coreCount, 2))
        pool.start()
        do {
            try await write(on: pool)
            try await pool.shutdownGracefully()
        } catch {
            try await pool.shutdownGracefully()
            throw error
        }
    }

    private func write(on pool: NIOThreadPool) async throws {
        let temporary = try await pool.runIfActive { [path] in try TemporaryEntry.file(for: path, mode: 0o666) }
        do {
            let contents = contents
            let file = try await pool.runIfActive { [size = layer.byteCount] in
                let file = try OutputFile(temporary.file, size: size)
                for range in contents { try file.reserve(range) }
                return file
            }
            try await writeChunks(to: file, on: pool)
            try await pool.runIfActive { [path] in
                try file.sync()
                try reporting("rename to \(path)") { () throws(Errno) in try temporary.rename(to: path) }
            }
        } catch {
            temporary.discard()
            throw error
        }
    }

    /// Where in the file there is more than a hole.
    private var contents: [Range<Int>] {
        var ranges: [Range<Int>] = []
        for (slot, ref) in layer.manifest.data.enumerated() where !ref.isZero {
            let start = slot * ChunkLimits.plainBytes
            let end = start + Int(ref.plainLength)
            if let last = ranges.last, last.upperBound == start {
                ranges[ranges.count - 1] = last.lowerBound..<end
            } else {
                ranges.append(start..<end)
            }
        }
        return ranges
    }

    private func writeChunks(to file: OutputFile, on pool: NIOThreadPool) async throws {
        let refs = layer.manifest.data
        let expected = (layer.byteCount + ChunkLimits.plainBytes - 1) / ChunkLimits.plainBytes
        guard refs.count == expected else {
            throw CacheError(.corrupt, "layer \(layer.id) has \(refs.count) slots where its size needs \(expected)")
        }
        try await withThrowingTaskGroup(of: Void.self) { group in
            for (slot, ref) in refs.enumerated() {
                let offset = slot * ChunkLimits.plainBytes
                let length = min(ChunkLimits.plainBytes, layer.byteCount - offset)
                guard Int(ref.plainLength) == length else {
                    throw CacheError(.corrupt, "slot \(slot) of layer \(layer.id) has not the length of its place")
                }
                if slot >= layer.readAhead { try await group.next() }
                group.addTask {
                    if ref.isZero {
                        _ = try await layer.chunk(ref)
                    } else {
                        let delivery = ChunkDelivery(on: pool) { try file.write($0, at: offset) }
                        layer.recycle(try await layer.chunk(ref, use: .recycled, delivery: delivery))
                    }
                    progress.add(length)
                }
            }
            try await group.waitForAll()
        }
    }
}

/// A new file of a known size, written at any place in any order.
private final class OutputFile: Sendable {
    private let file: OpenFile
    /// Writers of one file spin on its lock in the kernel; those that wait for this one sleep.
    private let writing = NIOLock()

    init(_ file: OpenFile, size: Int) throws {
        self.file = file
        try reporting("set the size of \(file.name)") { () throws(Errno) in try file.descriptor.truncate(to: size) }
    }

    /// Sets room aside, where the filesystem can: writing into it takes half the time, and a disk that is too small is
    /// found out now.
    func reserve(_ range: Range<Int>) throws {
        do throws(Errno) {
            try file.descriptor.reserve(range)
        } catch {
            guard error == .noSpace || error == .diskQuotaExceeded else { return }
            throw CacheError.system("set \(range.count) bytes aside for \(file.name)", error)
        }
    }

    func write(_ bytes: ByteBuffer, at offset: Int) throws {
        try bytes.withUnsafeReadableBytes { bytes in
            try writing.withLock {
                try reporting("write \(file.name)") { () throws(Errno) in
                    try file.descriptor.writeAll(bytes, at: offset)
                }
            }
        }
    }

    /// A disk that is full may say so only now.
    func sync() throws {
        do throws(Errno) {
            try file.descriptor.sync()
        } catch {
            // Of what cannot be brought to a disk.
            if error != .badArgument { throw CacheError.system("write \(file.name)", error) }
        }
    }
}
