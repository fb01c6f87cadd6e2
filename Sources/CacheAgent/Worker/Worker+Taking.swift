internal import CacheClient
internal import CacheCore
internal import CacheDevice
internal import Logging

// Between two processes: what one served before, and the end of this one.
extension Worker {
    /// Takes over what the process before has mounted, by the table of mounts.
    ///
    /// To be called before FUSE is answered: requests for its devices wait then, until these are open.
    package func restore() async throws {
        let there = try await parts.mounter.mounted(devices: parts.place.devices, scratch: parts.place.scratch)
        for record in parts.table.contents.mounts {
            guard there.has(record.dir) else {
                parts.logger.warning("a mount is gone", metadata: ["dir": "\(record.dir)", "ref": "\(record.ref)"])
                try await parts.mounter.discard(scratch(of: record))
                continue
            }
            let pin = try record.pin()
            mounts[record.dir] = Mount(ref: record.ref, record: record, phase: .mounted)
            if devices[pin.manifest] == nil {
                try parts.shelf.expect(
                    record.number, name: DeviceName.of(record.manifest, record.number), byteCount: record.bytes)
                devices[pin.manifest] = SharedDevice(number: record.number, opening: try reopening(record, pin))
            }
            devices[pin.manifest]?.uses += 1
        }
        let known = Set(mounts.keys).union(mounts.values.compactMap { $0.record.flatMap(scratch)?.lower })
        // Of a process that was killed in the middle of a mount or an unmount.
        for target in there.targets where !known.contains(target) {
            parts.logger.warning("a mount that nobody has asked for is detached", metadata: ["dir": "\(target)"])
            try await parts.mounter.detach(target, scratch: nil)
        }
        try await save()
    }

    /// Opens again what ``restore()`` has found. To be called once FUSE is answered; returns at once.
    package func reopen() {
        for manifest in devices.keys {
            Task { [weak self] in
                // It only ends without a device when nobody wants it any more.
                _ = try? await self?.arrival(of: manifest)
            }
        }
    }

    /// The most time between two attempts to open an image.
    private static var longestPause: Duration { .seconds(5) }

    private func reopening(_ record: MountRecord, _ pin: ImagePin) throws -> Task<any WorkerDevice, any Error> {
        let reference = try ImageReference(parsing: record.ref)
        return Task { [parts] in
            var pause = Duration.milliseconds(100)
            while true {
                do {
                    let image = try await parts.images.image(reference, pinned: pin, keyring: record.keyring)
                    return try await image.open(DeviceOptions(prefetch: record.prefetch))
                } catch {
                    try Task.checkCancellation()
                    parts.logger.warning(
                        "a mounted image cannot be opened now: its readers wait, and fail at their deadline",
                        metadata: ["ref": "\(record.ref)", "error": "\(error)"])
                }
                try await parts.time.sleep(pause)
                pause = min(pause * 2, Self.longestPause)
            }
        }
    }

    // MARK: The end

    /// Takes no more mounts, and unmounts those that nothing uses.
    ///
    /// - Returns: the directories that are in use, and so still mounted.
    package func drain() async -> [String] {
        isEnding = true
        for directory in mounts.keys.sorted() {
            do {
                try await unmount(directory)
            } catch {
                parts.logger.warning("a mount stays", metadata: ["dir": "\(directory)", "error": "\(error)"])
            }
        }
        return mounts.keys.sorted()
    }

    /// Waits until the last mount is gone.
    package func waitUntilEmpty() async {
        guard !mounts.isEmpty else { return }
        await withCheckedContinuation { continuation in
            emptied?.resume()
            emptied = continuation
        }
    }

    /// Takes all mounts out of the tree, whoever uses them: their users' next read of what they have not read yet
    /// fails.
    package func detachAll() async {
        isEnding = true
        for (directory, mount) in mounts {
            do {
                try await parts.mounter.detach(directory, scratch: mount.record.flatMap(scratch))
            } catch {
                parts.logger.error("a mount stays", metadata: ["dir": "\(directory)", "error": "\(error)"])
            }
        }
        mounts.removeAll()
    }

    /// Lets go of all devices, with nothing unmounted.
    package func closeDevices() async {
        for shared in devices.values {
            shared.opening.cancel()
            await shared.device?.close()
        }
        devices.removeAll()
    }
}
