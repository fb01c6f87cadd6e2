package import CacheClient

/// What `POST /v1/mounts` asks for.
package struct MountRequest: Sendable, Codable {
    package let ref: String
    package let dir: String
    package let writable: Bool?
    package let prefetch: DeviceOptions.Prefetch?
    /// The file with the tenant's key, where that is not the worker's own.
    package let keyring: String?

    package init(
        ref: String, dir: String, writable: Bool = false, prefetch: DeviceOptions.Prefetch? = nil,
        keyring: String? = nil
    ) {
        self.ref = ref
        self.dir = dir
        self.writable = writable
        self.prefetch = prefetch
        self.keyring = keyring
    }
}

/// One mount, as `GET /v1/status` and the answer to a mount have it.
package struct MountStatus: Sendable, Codable, Equatable {
    package let ref: String
    package let manifest: String
    package let dir: String
    /// The file of the image's device.
    package let device: String
    /// Of the device.
    package let bytes: UInt64
    package let writable: Bool
}

/// What `GET /v1/status` answers.
package struct WorkerStatus: Sendable, Codable {
    /// Of the process that answers FUSE.
    package let pid: Int32
    /// Seconds that this process has served.
    package let uptime: Double
    package let mounts: [MountStatus]
}

/// What `GET /v1/stats` answers: ``DeviceStatistics`` and the ref.
package struct MountStatistics: Sendable, Codable {
    package let ref: String
    package let asked: DeviceStatistics.Asked
    package let tiers: DeviceStatistics.Tiers
    package let prefetch: DeviceStatistics.Prefetch
    package let repaired: DeviceStatistics.Repaired
    /// Of the worker, whatever mount was asked for.
    package let ring: L2RingStatistics?

    init(ref: String, _ numbers: DeviceStatistics) {
        self.ref = ref
        asked = numbers.asked
        tiers = numbers.tiers
        prefetch = numbers.prefetch
        repaired = numbers.repaired
        ring = numbers.ring
    }
}
