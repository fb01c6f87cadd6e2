package import CacheClient
package import CacheCore

/// Where a worker gets images from.
package protocol WorkerImages: Sendable {
    /// The image that a ref names now; reads no chunk.
    ///
    /// - Parameter keyring: the path of the file with the tenant's key.
    func image(_ reference: ImageReference, keyring: String) async throws -> any WorkerImage

    /// The image that a mount was made of, whatever the ref names by now.
    func image(_ reference: ImageReference, pinned: ImagePin, keyring: String) async throws -> any WorkerImage
}

/// One image, before its device is open.
package protocol WorkerImage: Sendable {
    var pin: ImagePin { get }

    /// Opens its device, and begins to prefetch.
    func open(_ options: DeviceOptions) async throws -> any WorkerDevice
}

/// The open device of an image.
package protocol WorkerDevice: BlockDevice {
    var statistics: DeviceStatistics { get }

    /// Ends what it does by itself, such as prefetching.
    func close() async
}
