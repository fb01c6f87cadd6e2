internal import CacheCore
internal import NIOCore

extension LayerCache {
    /// An image as a device, to be read at any place. Reads the image's index, which is a part of what was pushed, and
    /// no chunk yet.
    ///
    /// A raw file is a device of its bytes, filled up with zeros to a multiple of 4096. Devices should be closed before
    /// the cache is.
    /// - Throws: `.corrupt` for an index that is damaged or of other layers, else as ``image(_:keyring:)``.
    public func device(of image: CachedImage, _ options: DeviceOptions = DeviceOptions()) async throws -> ImageDevice {
        let (map, layout) = try await map(of: image)
        return device(of: image, map, layout, options)
    }

    /// Where the bytes of an image's device come from.
    func map(of image: CachedImage) async throws -> (map: DeviceMap, layout: DeviceLayout) {
        let layout: DeviceLayout
        if let known = DeviceLayout(rawFile: image) {
            try await remember(image, image.origin.pieces)
            layout = known
        } else {
            layout = try await self.layout(of: image)
        }
        return (try DeviceMap(layout, of: image), layout)
    }

    /// The device of a layout that is known.
    package func device(
        of image: CachedImage, layout: DeviceLayout, _ options: DeviceOptions = DeviceOptions()
    ) throws -> ImageDevice {
        device(of: image, try DeviceMap(layout, of: image), layout, options)
    }

    private func device(
        of image: CachedImage, _ map: DeviceMap, _ layout: DeviceLayout, _ options: DeviceOptions
    ) -> ImageDevice {
        let chunks = DeviceChunks(
            map: map, reader: reader, counter: ReadCounter(parent: image.origin.counter), landed: devices.landed,
            remake: layout.remake)
        let touches = ChunkTouches(count: map.chunkCount, isRecording: options.records)
        let prefetcher = Prefetcher(chunks: chunks, touches: touches, share: devices.prefetch, logger: logger)
        let run = DeviceRun(traces, image.traceOwner, prefetcher, options, time: deadlines.time)
        return ImageDevice(chunks, devices, touches, run)
    }
}

extension DeviceMap {
    fileprivate init(_ layout: DeviceLayout, of image: CachedImage) throws(CacheError) {
        try self.init(
            layout, layers: image.layers.map { (refs: $0.manifest.data, generation: $0.manifest.generation) })
    }
}
