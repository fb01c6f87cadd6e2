internal import Glibc
internal import NIOConcurrencyHelpers
@_spi(CustomByteBufferAllocator) package import NIOCore
internal import NIOPosix

/// Memory for chunks: pieces of one size, cut from areas of 2 MiB, that are used again and again.
///
/// To touch 512 KiB of new memory takes 160 us, half as long as to open a chunk into it, and 35 us more when it goes
/// back to the system; a piece that was in use before costs nothing. It is free again when the last reference to its
/// buffer is gone, so nobody has to give any back. While the pieces in use grow in number, the next area is touched by
/// a thread that nobody waits for. Huge pages are asked for only where a device writes (docs/decisions, 22 and 38).
package final class PieceMemory: Sendable {
    private struct State {
        /// For each area, by its address, the pieces of it that are free, as bits.
        var free: [UInt: UInt8] = [:]
        /// Those that have a free piece, the one to take from next at the end.
        var partial: [UInt] = []
        /// Areas of which all pieces are free.
        var idle = 0
        /// An area that was touched, for when all pieces are taken.
        var spare: UInt?
        var isPreparing = false
        var maximumIdle: Int
    }

    private let state: NIOLockedValueBox<State>
    private let isForDevices: Bool

    /// The size of a piece.
    package static let pieceBytes = 512 << 10
    private static let areaBytes = 2 << 20
    private static let allFree = UInt8(1 << (areaBytes / pieceBytes) - 1)

    /// - Parameters:
    ///   - maximumIdle: areas that are kept while nothing uses them.
    ///   - isForDevices: an area that is touched ahead is one huge page, if the kernel has one.
    package init(maximumIdle: Int, isForDevices: Bool = false) {
        state = NIOLockedValueBox(State(maximumIdle: maximumIdle))
        self.isForDevices = isForDevices
    }

    /// Bytes of all areas, without the spare one.
    package var mappedBytes: Int { state.withLockedValue { $0.free.count } * Self.areaBytes }

    /// Whether an area is ready for when all pieces are taken.
    package var hasSpare: Bool { state.withLockedValue { $0.spare != nil } }

    /// A piece whose content is undefined; `nil` if the system has no memory for it, or no address space.
    package func take() -> UnsafeMutableRawPointer? {
        if let piece = takeReady() { return piece }
        guard let area = Self.mapArea() else { return nil }
        add(area)
        return takeFree()
    }

    /// A piece that was touched before; `nil` if none is free now: then the next area is being touched.
    package func takeReady() -> UnsafeMutableRawPointer? {
        if let piece = takeFree() { return piece }
        let spare = state.withLockedValue { $0.spare.take() }
        prepareSpare()
        guard let spare else { return nil }
        add(spare)
        return takeFree()
    }

    private func add(_ area: UInt) {
        state.withLockedValue { state in
            state.free[area] = Self.allFree
            state.partial.append(area)
            state.idle += 1
        }
    }

    /// Has an area touched, on another thread.
    private func prepareSpare() {
        let isWanted = state.withLockedValue { state in
            guard state.spare == nil, !state.isPreparing else { return false }
            state.isPreparing = true
            return true
        }
        guard isWanted else { return }
        NIOThreadPool.singleton.submit { [self] poolState in
            let area = poolState == .active ? Self.mapArea() : nil
            // Hints: what the kernel does not touch now is touched when it is used.
            if let area, let start = UnsafeMutableRawPointer(bitPattern: area) {
                if isForDevices { madvise(start, Self.areaBytes, MADV_HUGEPAGE) }
                madvise(start, Self.areaBytes, MADV_POPULATE_WRITE)
            }
            state.withLockedValue { state in
                state.spare = area
                state.isPreparing = false
            }
        }
    }

    private func takeFree() -> UnsafeMutableRawPointer? {
        let address = state.withLockedValue { state -> UInt? in
            guard let area = state.partial.last, let free = state.free[area] else { return nil }
            if free == Self.allFree { state.idle -= 1 }
            let left = free & (free - 1)
            state.free[area] = left
            if left == 0 { state.partial.removeLast() }
            return area + UInt(free.trailingZeroBitCount * Self.pieceBytes)
        }
        return address.flatMap { UnsafeMutableRawPointer(bitPattern: $0) }
    }

    /// Takes a piece back.
    /// - Returns: false if the address is in none of the areas.
    package func give(_ piece: UnsafeMutableRawPointer) -> Bool {
        let address = UInt(bitPattern: piece)
        let area = address / UInt(Self.areaBytes) * UInt(Self.areaBytes)
        let (isOurs, unused) = state.withLockedValue { state -> (Bool, UInt?) in
            guard let before = state.free[area] else { return (false, nil) }
            let free = before | 1 << UInt8((address - area) / UInt(Self.pieceBytes))
            state.free[area] = free
            if before == 0 { state.partial.append(area) }
            guard free == Self.allFree else { return (true, nil) }
            guard state.idle >= state.maximumIdle else {
                state.idle += 1
                return (true, nil)
            }
            state.free[area] = nil
            state.partial.removeAll { $0 == area }
            return (true, area)
        }
        if let unused, let start = UnsafeMutableRawPointer(bitPattern: unused) { munmap(start, Self.areaBytes) }
        return isOurs
    }

    /// An area on a border of its own size, by which the area of a piece is found.
    private static func mapArea() -> UInt? {
        let room = mmap(nil, 2 * areaBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
        guard let room, room != MAP_FAILED else { return nil }
        let before = (areaBytes - Int(bitPattern: room) % areaBytes) % areaBytes
        let area = room + before
        if before > 0 { munmap(room, before) }
        munmap(area + areaBytes, areaBytes - before)
        return UInt(bitPattern: area)
    }
}

// MARK: - Buffers

extension PieceMemory {
    /// 4 MiB of idle areas.
    private static let shared = PieceMemory(maximumIdle: 2)

    /// Has so many idle areas of the allocator's kept: for a process with many chunks under way at a time.
    package static func keepIdle(areas: Int) { shared.state.withLockedValue { $0.maximumIdle = areas } }

    /// 8 MiB of idle areas at most, for as many readers at once.
    private static let devices = PieceMemory(maximumIdle: 4, isForDevices: true)

    /// Lends a piece for a device to write to, on a border of its own size, with undefined content; `nil` if the system
    /// has no memory for it.
    ///
    /// It lies in one huge page if there is one by now, so that a request to the device names one place and not 128:
    /// that alone lets a virtual disk give half as much again
    /// (docs/decisions/0038-cold-chunks-go-past-the-page-cache.md). Nobody waits for the kernel to find one.
    package static func withDevicePiece<R>(_ body: (UnsafeMutableRawBufferPointer) -> R) -> R? {
        guard let piece = devices.takeReady() ?? shared.take() else { return nil }
        defer { if !devices.give(piece) { _ = shared.give(piece) } }
        return body(UnsafeMutableRawBufferPointer(start: piece, count: pieceBytes))
    }

    /// Makes buffers whose memory is a piece if they have just its size, and `malloc`'s otherwise.
    package static let allocator = ByteBufferAllocator { size in
        (size == pieceBytes ? shared.take() : nil) ?? malloc(size)
    } reallocate: { memory, old, new in
        guard let memory, old == pieceBytes || new == pieceBytes else { return realloc(memory, new) }
        guard let grown = (new == pieceBytes ? shared.take() : nil) ?? malloc(new) else { return nil }
        grown.copyMemory(from: memory, byteCount: min(old, new))
        if !shared.give(memory) { free(memory) }
        return grown
    } deallocate: { memory in
        if !shared.give(memory) { free(memory) }
    } copy: { to, from, count in
        to.copyMemory(from: from, byteCount: count)
    }
}
