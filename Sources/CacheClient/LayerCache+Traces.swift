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
