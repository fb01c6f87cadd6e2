internal import CacheClient
package import CacheCore
package import CacheDevice
package import Logging

/// The agent of a host: its mounts, and the devices of their images, which all mounts of an image share.
///
/// What it mounts it writes into its table first, so that a process that comes after a killed one knows all of it.
package actor Worker {
    /// What a worker stands on.
    package struct Parts: Sendable {
        let place: WorkerPlace
        let images: any WorkerImages
        let shelf: any DeviceShelf
        let mounter: ImageMounter
        let table: MountTable
        let time: TimeSource
        let logger: Logger

        package init(
            place: WorkerPlace, images: any WorkerImages, shelf: any DeviceShelf, mounter: ImageMounter,
            table: MountTable, time: TimeSource = .system, logger: Logger
        ) {
            self.place = place
            self.images = images
            self.shelf = shelf
            self.mounter = mounter
            self.table = table
            self.time = time
            self.logger = logger
        }
    }

    /// Mounts of one host: more than any has containers.
    package static let mostMounts = 4096

    let parts: Parts
    /// The keyring of requests that name none.
    private let keyring: String
    private let start: Duration
    /// By directory, as the kernel writes it.
    var mounts: [String: Mount] = [:] {
        didSet { if mounts.isEmpty { emptied.take()?.resume() } }
    }
    var devices: [ManifestID: SharedDevice] = [:]
    private var nextNumber: UInt64
    /// No more mounts are taken.
    var isEnding = false
    /// Who waits for the last mount to go.
    var emptied: CheckedContinuation<Void, Never>?

    package init(_ parts: Parts, keyring: String) {
        self.parts = parts
        self.keyring = keyring
        start = parts.time.now()
        nextNumber = parts.table.contents.nextNumber
    }

    // MARK: Mounting

    /// Mounts an image; returns once the directory can be used.
    ///
    /// - Throws: `.conflict` for a directory that is a mount of this worker, `.closed` when it is ending; else as
    ///   opening the image and mounting it do. Nothing is left behind then.
    package func mount(_ request: MountRequest) async throws -> MountStatus {
        let reference = try ImageReference(parsing: request.ref)
        let directory = try await resolve(request.dir)
        try await checkPlace(isNotIn: directory)
        try reserve(directory, for: "\(reference)")
        do {
            let image = try await parts.images.image(reference, keyring: request.keyring ?? keyring)
            let number = try await use(image, prefetch: request.prefetch ?? .trace)
            do {
                return try await attach(image, number, request, at: directory)
            } catch {
                await release(image.pin.manifest)
                throw error
            }
        } catch {
            mounts[directory] = nil
            throw error
        }
    }

    private func resolve(_ directory: String) async throws -> String {
        guard directory.hasPrefix("/") else {
            throw CacheError(.invalidInput, "'\(directory)' is not an absolute path: name the directory by one")
        }
        return try await parts.mounter.resolve(directory)
    }

    /// A mount must not hide the worker's own files: its verbs would not find the socket.
    private func checkPlace(isNotIn directory: String) async throws {
        let own = try await parts.mounter.resolve(parts.place.directory)
        guard "\(own)/".hasPrefix(directory == "/" ? "/" : "\(directory)/") else { return }
        throw CacheError(
            .invalidInput, "a mount at \(directory) would hide the worker's own directory \(own): choose another one")
    }

    private func reserve(_ directory: String, for ref: String) throws(CacheError) {
        guard !isEnding else {
            throw CacheError(.closed, "the worker is ending and takes no more mounts: ask the next one")
        }
        if let other = mounts[directory] {
            throw CacheError(.conflict, "\(directory) is a mount of \(other.ref) already: unmount it first")
        }
        guard mounts.count < Self.mostMounts else {
            throw CacheError(.overloaded, "there are \(Self.mostMounts) mounts already: unmount some first")
        }
        mounts[directory] = Mount(ref: ref)
    }

    private func attach(
        _ image: any WorkerImage, _ device: (number: UInt64, bytes: UInt64), _ request: MountRequest,
        at directory: String
    ) async throws -> MountStatus {
        let record = MountRecord(
            ref: mounts[directory]?.ref ?? request.ref, manifest: image.pin.manifest.hex,
            generation: image.pin.generation.number, dir: directory, number: device.number, bytes: device.bytes,
            scratch: request.writable == true ? takeNumber() : nil, prefetch: request.prefetch ?? .trace,
            keyring: request.keyring ?? keyring)
        mounts[directory]?.record = record
        mounts[directory]?.phase = .mounting
        do {
            // In the table first: a process that takes over in the middle knows what the kernel may ask for.
            try await save()
            try await parts.mounter.mount(
                device: path(of: record), at: directory, scratch: scratch(of: record))
        } catch {
            mounts[directory]?.record = nil
            try await save()
            throw error
        }
        mounts[directory]?.phase = .mounted
        return status(of: record)
    }

    // MARK: Unmounting

    /// Unmounts a directory, and lets go of its image if that was the last mount of it.
    ///
    /// - Throws: `.missing` for what is no mount of this worker; `.conflict` while something uses it.
    package func unmount(_ directory: String) async throws {
        let directory = mounts[directory] == nil ? try await resolve(directory) : directory
        guard let mount = mounts[directory] else {
            throw CacheError(.missing, "\(directory) is no mount of this worker")
        }
        guard mount.phase == .mounted, let record = mount.record else {
            throw CacheError(.conflict, "\(directory) is being mounted or unmounted: ask again")
        }
        mounts[directory]?.phase = .unmounting
        do {
            try await parts.mounter.unmount(directory, scratch: scratch(of: record))
        } catch {
            mounts[directory]?.phase = .mounted
            throw error
        }
        mounts[directory]?.record = nil
        defer { mounts[directory] = nil }
        if let manifest = ManifestID(hex: record.manifest) { await release(manifest) }
        try await save()
    }

    // MARK: Devices

    /// The device of an image, opened if no mount has it yet: its number and its bytes.
    private func use(
        _ image: any WorkerImage, prefetch: DeviceOptions.Prefetch
    ) async throws -> (number: UInt64, bytes: UInt64) {
        let manifest = image.pin.manifest
        if devices[manifest] == nil {
            let opening = Task { try await image.open(DeviceOptions(prefetch: prefetch)) }
            devices[manifest] = SharedDevice(number: takeNumber(), opening: opening)
        }
        devices[manifest]?.uses += 1
        do {
            guard let device = try await arrival(of: manifest) else {
                throw CacheError(.closed, "the image was closed while it was opened: ask again")
            }
            return (devices[manifest]?.number ?? 0, device.byteCount)
        } catch {
            await release(manifest)
            throw error
        }
    }

    /// Waits for a device, and puts it on the shelf if nobody has; `nil` if nobody wants it any more.
    @discardableResult
    func arrival(of manifest: ManifestID) async throws -> (any WorkerDevice)? {
        guard let opening = devices[manifest]?.opening else { return nil }
        let device = try await opening.value
        // Another one under the same name may have taken its place meanwhile.
        guard let shared = devices[manifest], shared.opening == opening else { return nil }
        if shared.device == nil {
            try parts.shelf.insert(device, name: DeviceName.of(manifest.hex, shared.number), number: shared.number)
            devices[manifest]?.device = device
        }
        return device
    }

    private func release(_ manifest: ManifestID) async {
        devices[manifest]?.uses -= 1
        guard let shared = devices[manifest], shared.uses <= 0 else { return }
        devices[manifest] = nil
        shared.opening.cancel()
        do {
            try await parts.shelf.remove(shared.number)
        } catch {
            // Nobody can open it any more, and its number is never used again.
            parts.logger.warning("the kernel keeps the name of a device", metadata: ["error": "\(error)"])
        }
        await shared.device?.close()
    }

    // MARK: What is known

    func takeNumber() -> UInt64 {
        defer { nextNumber += 1 }
        return nextNumber
    }

    func save() async throws {
        var contents = MountTable.Contents()
        contents.nextNumber = nextNumber
        contents.mounts = mounts.values.compactMap(\.record).sorted { $0.dir < $1.dir }
        try await parts.table.save(contents)
    }

    private func path(of record: MountRecord) -> String {
        "\(parts.place.devices)/\(DeviceName.of(record.manifest, record.number))"
    }

    func scratch(of record: MountRecord) -> ImageMounter.Scratch? {
        record.scratch.map { ImageMounter.Scratch(directory: "\(parts.place.scratch)/\($0)") }
    }

    func status(of record: MountRecord) -> MountStatus {
        MountStatus(
            ref: record.ref, manifest: record.manifest, dir: record.dir,
            device: path(of: record), bytes: record.bytes, writable: record.scratch != nil)
    }

    package var status: WorkerStatus {
        let records = mounts.values.filter { $0.phase != .mounting }.compactMap(\.record)
        return WorkerStatus(
            pid: CurrentProcess.number, uptime: (parts.time.now() - start) / .seconds(1),
            mounts: records.map(status).sorted { $0.dir < $1.dir })
    }

    /// What was read of a mount's image since this process opened it; all mounts of the image count.
    ///
    /// - Throws: `.missing` for what is no mount of this worker; `.overloaded` while its image is not open again.
    package func statistics(of directory: String) async throws -> MountStatistics {
        let directory = mounts[directory] == nil ? try await resolve(directory) : directory
        guard let record = mounts[directory]?.record else {
            throw CacheError(.missing, "\(directory) is no mount of this worker")
        }
        guard let device = ManifestID(hex: record.manifest).flatMap({ devices[$0]?.device }) else {
            throw CacheError(.overloaded, "the image of \(directory) is not open yet: ask again")
        }
        return MountStatistics(ref: record.ref, device.statistics)
    }
}
