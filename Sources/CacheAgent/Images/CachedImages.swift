package import CacheClient
package import CacheCore
package import CacheFiles
internal import NIOCore

/// The images of a cache.
package struct CachedImages: WorkerImages {
    private let cache: LayerCache
    private let namespace: MountNamespace
    private let records: Bool

    /// - Parameters:
    ///   - namespace: that keyrings are looked for in: their paths are those of who asks for a mount.
    ///   - records: whether the first runs of an image are recorded as its trace.
    package init(_ cache: LayerCache, in namespace: MountNamespace, records: Bool) {
        self.cache = cache
        self.namespace = namespace
        self.records = records
    }

    package func image(_ reference: ImageReference, keyring: String) async throws -> any WorkerImage {
        let keyring = try await read(keyring)
        return opened(try await cache.image(reference, keyring: keyring), isMounted: false)
    }

    package func image(
        _ reference: ImageReference, pinned pin: ImagePin, keyring: String
    ) async throws -> any WorkerImage {
        let keyring = try await read(keyring)
        let image = try await cache.image(reference, pinned: pin, keyring: keyring)
        return opened(image, isMounted: true)
    }

    private func opened(_ image: CachedImage, isMounted: Bool) -> OfCache {
        OfCache(cache: cache, image: image, records: records, isMounted: isMounted)
    }

    /// At each opening, so that a key that was added counts.
    private func read(_ keyring: String) async throws -> Keyring {
        guard !keyring.isEmpty else {
            throw CacheError(
                .key, "neither the worker nor the request names a keyring: give one of them --keyring FILE")
        }
        return try await namespace.run { try Keyring(contentsOf: keyring) }
    }

    private struct OfCache: WorkerImage {
        let cache: LayerCache
        let image: CachedImage
        let records: Bool
        /// The kernel has its first block already, and it was checked then.
        let isMounted: Bool

        var pin: ImagePin { image.pin }

        func open(_ options: DeviceOptions) async throws -> any WorkerDevice {
            guard image.layers.allSatisfy({ $0.kind == .tar }) else {
                throw CacheError(
                    .invalidInput,
                    "\(image.reference) is a raw file, which has no tree to mount: pull it to file:PATH, or show it"
                        + " with layercache nbd")
            }
            var options = options
            options.records = options.records && records
            let device = try await cache.device(of: image, options)
            guard !isMounted else { return device }
            do {
                try await check(device)
            } catch {
                await device.close()
                throw error
            }
            return device
        }

        /// What the kernel is given is what this version writes, as far as the superblock tells.
        private func check(_ device: ImageDevice) async throws {
            let count = min(Int(clamping: device.byteCount), ErofsSuperblock.blockBytes)
            let block = try await device.read(at: 0, count: count).flatMap { $0.readableBytesView }
            if let fault = ErofsSuperblock.fault(in: block, deviceBytes: device.byteCount) {
                throw CacheError(
                    .corrupt,
                    "\(image.reference) cannot be mounted, \(fault): its index is damaged or of another version; push"
                        + " it again")
            }
        }
    }
}

extension ImageDevice: WorkerDevice {}
