public import CacheCore

/// Traces: which chunks of an image's device are fetched ahead when it is mounted on a host that has none of it.
extension LayerCache {
    /// The trace of an image: that in L3, else that of this host; `nil` if none was recorded.
    /// - Throws: `.corrupt` or `.unsupported` for a trace that is of no use, else as L3 does.
    public func trace(of image: CachedImage) async throws -> ImageTrace? {
        try await traces.read(image.traceOwner)
    }

    /// Replaces the trace of an image in L3. With an empty one, the next run of the image is recorded afresh.
    /// - Throws: as L3 does, such as `.io` if this host may not write to it.
    public func setTrace(_ trace: ImageTrace, of image: CachedImage) async throws {
        try await traces.replace(image.traceOwner, by: trace)
    }

    /// What prefetching by a trace brings: bytes of plaintext, and of these chunks as they are stored.
    /// - Throws: `.corrupt` for a trace that is none of this image's, else as ``device(of:_:)``.
    public func size(of trace: ImageTrace, in image: CachedImage) async throws -> (bytes: Int, stored: Int) {
        let map = try await map(of: image).map
        try trace.check(against: map.chunkCount)
        return trace.chunks.reduce(into: (bytes: 0, stored: 0)) { sum, number in
            let ref = map.ref(map.place(of: Int(number)))
            sum.bytes += Int(ref.plainLength)
            sum.stored += Int(ref.sealedLength)
        }
    }

    /// Removes the trace of an image, in L3 and on this host; whether there was one.
    /// - Throws: as L3 does.
    @discardableResult
    public func dropTrace(of image: CachedImage) async throws -> Bool {
        try await traces.remove(image.traceOwner)
    }
}

extension CachedImage {
    var traceOwner: TraceLibrary.Owner {
        TraceLibrary.Owner(image: id, generation: manifest.generation, keys: origin.keys)
    }
}
