import CacheClient
import CacheCore
import NIOConcurrencyHelpers
import NIOCore

/// Has every other piece of 64 KiB at hand; the others come later, and in several buffers.
struct HalfDevice: BlockDevice {
    let device: FileDevice

    var byteCount: UInt64 { device.byteCount }

    func cached(at offset: UInt64, count: Int, reach: DeviceReach) throws -> [ByteBuffer]? {
        offset >> 16 & 1 == 0 ? try device.cached(at: offset, count: count, reach: reach) : nil
    }

    func read(at offset: UInt64, count: Int) async throws -> [ByteBuffer] {
        await Task.yield()
        // Also more buffers than one system call takes.
        let step = max(1, min(count / 3, 600))
        var buffers: [ByteBuffer] = []
        for var buffer in try await device.read(at: offset, count: count) {
            while let piece = buffer.readSlice(length: min(step, buffer.readableBytes)), piece.readableBytes > 0 {
                buffers.append(piece)
            }
        }
        return buffers
    }

    func extent(at offset: UInt64) -> DeviceExtent { device.extent(at: offset) }
}

/// Bytes and holes, by turns.
struct StripedDevice: BlockDevice {
    static let stripe = 65_536
    let stripes: Int

    var byteCount: UInt64 { UInt64(stripes * Self.stripe) }

    func cached(at offset: UInt64, count: Int, reach: DeviceReach) throws -> [ByteBuffer]? { nil }

    func read(at offset: UInt64, count: Int) async throws -> [ByteBuffer] { [ByteBuffer(repeating: 1, count: count)] }

    func extent(at offset: UInt64) -> DeviceExtent {
        let stripe = UInt64(Self.stripe)
        return DeviceExtent(count: stripe - offset % stripe, isZero: offset / stripe % 2 == 1)
    }
}

/// Does what its test says at each read.
final class ScriptedDevice: BlockDevice {
    enum Step {
        case bytes
        /// A byte too few.
        case short
        case failure
        /// Never comes back, not even when it is cancelled, until ``release()``.
        case hangs
    }

    struct Failed: Error {}

    private struct State {
        var steps: [Step]
        var reads = 0
        var hanging: [CheckedContinuation<Void, Never>] = []
    }

    let byteCount: UInt64 = 1 << 30
    private let state: NIOLockedValueBox<State>

    /// - Parameter steps: of the first reads; those after them give bytes.
    init(_ steps: [Step]) { state = NIOLockedValueBox(State(steps: steps)) }

    var reads: Int { state.withLockedValue { $0.reads } }
    var hanging: Int { state.withLockedValue { $0.hanging.count } }

    func release() {
        let hanging = state.withLockedValue { state in
            defer { state.hanging = [] }
            return state.hanging
        }
        for continuation in hanging { continuation.resume() }
    }

    func cached(at offset: UInt64, count: Int, reach: DeviceReach) throws -> [ByteBuffer]? { nil }

    func read(at offset: UInt64, count: Int) async throws -> [ByteBuffer] {
        let step = state.withLockedValue { state in
            state.reads += 1
            return state.steps.isEmpty ? .bytes : state.steps.removeFirst()
        }
        switch step {
        case .bytes: break
        case .short: return [ByteBuffer(repeating: 7, count: count - 1)]
        case .failure: throw Failed()
        case .hangs:
            await withCheckedContinuation { continuation in
                state.withLockedValue { $0.hanging.append(continuation) }
            }
        }
        return [ByteBuffer(repeating: 7, count: count)]
    }

    func extent(at offset: UInt64) -> DeviceExtent { DeviceExtent(count: byteCount - offset, isZero: false) }
}

/// Its disk has nines, and answers nothing until ``release()``; from afar come sevens.
final class HungDiskDevice: BlockDevice {
    let byteCount: UInt64 = 1 << 20
    private let isReleased = ConditionLock(value: false)
    private let counts = NIOLockedValueBox((hanging: 0, reads: 0))

    var hanging: Int { counts.withLockedValue { $0.hanging } }
    var reads: Int { counts.withLockedValue { $0.reads } }

    func release() {
        isReleased.lock()
        isReleased.unlock(withValue: true)
    }

    func cached(at offset: UInt64, count: Int, reach: DeviceReach) throws -> [ByteBuffer]? {
        guard reach == .disk else { return nil }
        counts.withLockedValue { $0.hanging += 1 }
        isReleased.lock(whenValue: true)
        isReleased.unlock()
        counts.withLockedValue { $0.hanging -= 1 }
        return [ByteBuffer(repeating: 9, count: count)]
    }

    func read(at offset: UInt64, count: Int) async throws -> [ByteBuffer] {
        counts.withLockedValue { $0.reads += 1 }
        return [ByteBuffer(repeating: 7, count: count)]
    }

    func extent(at offset: UInt64) -> DeviceExtent { DeviceExtent(count: byteCount - offset, isZero: false) }
}

/// Zeros.
struct FixedDevice: BlockDevice {
    let byteCount: UInt64

    func cached(at offset: UInt64, count: Int, reach: DeviceReach) throws -> [ByteBuffer]? {
        [ByteBuffer(repeating: 0, count: count)]
    }

    func read(at offset: UInt64, count: Int) async throws -> [ByteBuffer] { [ByteBuffer(repeating: 0, count: count)] }

    func extent(at offset: UInt64) -> DeviceExtent { DeviceExtent(count: byteCount - offset, isZero: true) }
}
