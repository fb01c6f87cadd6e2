public import NIOCore

/// A device of bytes that can be read at any place and never changes: what FUSE and NBD show, and what agents of others
/// may build on.
///
/// A read gives buffers that follow one another; most are slices of chunks in memory, so that they can be written out
/// without a copy. Safe to use from any thread, and for many reads at once.
public protocol BlockDevice: Sendable {
    /// Its size in bytes, a multiple of 4096.
    var byteCount: UInt64 { get }

    /// The bytes of a range if this host has them at hand; never waits for the network and never suspends.
    ///
    /// - Parameters:
    ///   - offset: where the range begins, in bytes.
    ///   - count: its length in bytes; the range must lie in the device.
    ///   - reach: how far to look. With ``DeviceReach/disk`` the call may block for as long as a local disk takes.
    /// - Returns: `count` bytes in all; `nil` if some of them must come from farther away.
    /// - Throws: `.invalidInput` for a range that leaves the device.
    func cached(at offset: UInt64, count: Int, reach: DeviceReach) throws -> [ByteBuffer]?

    /// The bytes of a range, from the nearest tiers; `count` bytes in all, or an error.
    ///
    /// Cancelling the task ends the wait at once.
    /// - Throws: `.invalidInput` for a range that leaves the device, else as the tiers do. A later read of the same
    ///   range tries again.
    func read(at offset: UInt64, count: Int) async throws -> [ByteBuffer]

    /// What the device has from `offset` (less than ``byteCount``) on: how many bytes are of one sort, and whether they
    /// are zeros that no tier stores. Costs no I/O.
    func extent(at offset: UInt64) -> DeviceExtent
}

/// How far ``BlockDevice/cached(at:count:reach:)`` looks.
public enum DeviceReach: Sendable {
    /// In memory alone: microseconds.
    case memory
    /// On the host's disk, too.
    case disk
}

/// A stretch of a device of one sort.
public struct DeviceExtent: Sendable, Equatable {
    /// Bytes from the place that was asked for.
    public let count: UInt64
    /// Whether all of them are zeros, stored nowhere.
    public let isZero: Bool

    public init(count: UInt64, isZero: Bool) {
        self.count = count
        self.isZero = isZero
    }
}
