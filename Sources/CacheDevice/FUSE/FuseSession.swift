internal import CLinux

/// What the kernel offers when a filesystem is mounted, in INIT.
struct FuseOffer: Equatable {
    let major: UInt32
    let minor: UInt32
    let readAheadBytes: UInt32
    let features: UInt64

    /// `nil` for what is too short. Before 7.36 the kernel sends the first sixteen bytes alone.
    init?(_ body: UnsafeRawBufferPointer) {
        guard let major = body.value(at: 0, as: UInt32.self), let minor = body.value(at: 4, as: UInt32.self),
            let readAhead = body.value(at: 8, as: UInt32.self), let low = body.value(at: 12, as: UInt32.self)
        else { return nil }
        self.init(major: major, minor: minor, readAheadBytes: readAhead, features: UInt64(low))
        if low & UInt32(FUSE_INIT_EXT) != 0, let high = body.value(at: 16, as: UInt32.self) {
            self.init(
                major: major, minor: minor, readAheadBytes: readAhead, features: UInt64(high) << 32 | UInt64(low))
        }
    }

    init(major: UInt32, minor: UInt32, readAheadBytes: UInt32, features: UInt64) {
        self.major = major
        self.minor = minor
        self.readAheadBytes = readAheadBytes
        self.features = features
    }
}

/// What was agreed with the kernel when the filesystem was mounted. It is agreed once for the life of the mount: a
/// process that takes over the connection gets it from who kept that.
package struct FuseSession: Codable, Equatable, Sendable {
    /// The version of protocol 7.
    package let minor: UInt32
    /// Bits of FUSE_ASYNC_READ and the like, those above 31 shifted as in `linux/fuse.h`.
    let features: UInt64

    /// Whether requests that a process read and did not answer can be sent again, to the next one: Linux 6.9.
    package var canResend: Bool { features & Self.hasResend != 0 }

    /// - Returns: `nil` for a kernel that is too old.
    init?(_ offer: FuseOffer) {
        guard offer.major == FUSE_KERNEL_VERSION, offer.minor >= FuseLimits.oldestMinor,
            offer.features & UInt64(FUSE_MAX_PAGES) != 0
        else { return nil }
        minor = min(offer.minor, UInt32(FUSE_KERNEL_MINOR_VERSION))
        features = offer.features & Self.wanted
    }

    /// The answer to INIT.
    var answer: fuse_init_out {
        var answer = fuse_init_out()
        answer.major = UInt32(FUSE_KERNEL_VERSION)
        answer.minor = minor
        answer.max_readahead = UInt32(FuseLimits.readBytes)
        answer.flags = UInt32(truncatingIfNeeded: features)
        answer.flags2 = UInt32(features >> 32)
        answer.max_background = Self.background
        answer.congestion_threshold = Self.background / 4 * 3
        answer.max_write = 4096
        answer.time_gran = 1
        answer.max_pages = UInt16(FuseLimits.readBytes / 4096)
        return answer
    }

    /// Requests that the kernel sends ahead of who reads (read-ahead) at the same time.
    private static let background: UInt16 = 128
    // Of later headers than 7.38.
    private static let directIOAllowMmap: UInt64 = 1 << 36
    private static let hasResend: UInt64 = 1 << 39
    /// Asynchronous direct I/O is left off, because EROFS on it could use freed memory until February 2026; so is
    /// passthrough, because the kernel refuses to mount EROFS on a filesystem that has it.
    private static let wanted =
        UInt64(FUSE_ASYNC_READ) | UInt64(FUSE_PARALLEL_DIROPS) | UInt64(FUSE_ABORT_ERROR) | UInt64(FUSE_MAX_PAGES)
        | UInt64(FUSE_EXPLICIT_INVAL_DATA) | UInt64(FUSE_INIT_EXT) | directIOAllowMmap | hasResend
}
