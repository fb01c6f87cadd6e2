package import CacheClient
package import CacheCore
internal import CacheFiles
internal import NIOCore
internal import NIOPosix

/// The images of a cache.
package struct CachedImages: WorkerImages {
    private let cache: LayerCache

    package init(_ cache: LayerCache) { self.cache = cache }

    package func image(_ reference: ImageReference, keyring: String) async throws -> any WorkerImage {
        let keyring = try await read(keyring)
        return OfCache(cache: cache, image: try await cache.image(reference, keyring: keyring))
    }

    package func image(
        _ reference: ImageReference, pinned pin: ImagePin, keyring: String
    ) async throws -> any WorkerImage {
        let keyring = try await read(keyring)
        return OfCache(cache: cache, image: try await cache.image(reference, pinned: pin, keyring: keyring))
    }

    /// At each opening, so that a key that was added counts.
    private func read(_ keyring: String) async throws -> Keyring {
        guard !keyring.isEmpty else {
            throw CacheError(
                .key, "neither the worker nor the request names a keyring: give one of them --keyring FILE")
        }
        return try await NIOThreadPool.singleton.runIfActive { try Keyring(contentsOf: keyring) }
    }

    private struct OfCache: WorkerImage {
        let cache: LayerCache
        let image: CachedImage

        var pin: ImagePin { image.pin }

        func open(_ options: DeviceOptions) async throws -> any WorkerDevice {
            try await cache.device(of: image, options)
        }
    }
}

extension ImageDevice: WorkerDevice {}
