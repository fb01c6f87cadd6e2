internal import CacheCore
internal import NIOCore

extension LayerCache {
    /// An image as a device, to be read at any place. Reads the image's index, which is a part of what was pushed, and no
    /// chunk yet.
    ///
    /// A raw file is a device of its bytes, filled up with zeros to a multiple of 4096. Devices should be closed before
    /// the cache is.
    /// - Throws: `.corrupt` for an index that is damaged or of other layers, else as ``image(_:keyring:)``.
    public func device(of image: CachedImage, _ options: DeviceOptions = DeviceOptions()) async throws -> ImageDevice {
        if let layout = DeviceLayout(rawFile: image) { return try device(of: image, layout: layout, options) }
        return try device(of: image, layout: try await layout(of: image), options)
    }

    /// The device of a layout that is known.
    package func device(
        of image: CachedImage, layout: DeviceLayout, _ options: DeviceOptions = DeviceOptions()
    ) throws -> ImageDevice {
        let map = try DeviceMap(
            layout, layers: image.layers.map { (refs: $0.manifest.data, generation: $0.manifest.generation) })
        let chunks = DeviceChunks(
            map: map, reader: reader, counter: ReadCounter(parent: image.origin.counter), landed: devices.landed,
            remake: layout.remake)
        let touches = ChunkTouches(count: map.chunkCount, isRecording: options.records)
        let prefetcher = Prefetcher(
            chunks: chunks, touches: touches, parallelism: configuration.prefetchParallelism,
            memoryBytes: configuration.memoryBytes / 2, logger: logger)
        let run = DeviceRun(traces, image.traceOwner, prefetcher, options, time: deadlines.time)
        return ImageDevice(chunks, devices, touches, run)
    }
}

extension CacheConfiguration {
    /// Chunks that are fetched by a trace at once: a quarter of what the tiers take at once is left to those who wait.
    var prefetchParallelism: Int {
        let tiers = l2.isEmpty ? l3Concurrency : min(l2Connections, l3Concurrency)
        return max(min(readAhead, tiers * 3 / 4), 1)
    }
}
