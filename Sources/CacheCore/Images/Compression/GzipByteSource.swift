internal import CISAL
internal import CacheBase
package import CacheFiles

/// Uncompressed bytes of a gzip stream (RFC 1952), by ISA-L: any number of members, each with its checksum and length
/// checked.
///
/// Zeros behind the last member are padding; anything else there is an error. Holds 350 KiB.
package final class GzipByteSource: ByteSource {
    private let name: String
    private var input: InputBuffer
    // On the heap and at a fixed place: ISA-L keeps pointers into it between calls.
    private let state: UnsafeMutablePointer<inflate_state>
    private var phase = Phase.betweenMembers(first: true)

    private enum Phase {
        case betweenMembers(first: Bool)
        case inMember
        case ended
    }

    package init(_ source: any ByteSource, name: String) {
        self.name = name
        input = InputBuffer(source)
        state = .allocate(capacity: 1)
        isal_inflate_init(state)
    }

    deinit { state.deallocate() }

    package func read(into buffer: UnsafeMutableRawBufferPointer) throws -> Int {
        while true {
            switch phase {
            case .ended: return 0
            case .betweenMembers(let first): try beginMember(first: first)
            case .inMember:
                let count = try inflate(into: buffer)
                if count > 0 { return count }
            }
        }
    }

    private func beginMember(first: Bool) throws {
        while input.available.count < 4, try input.refill() {}
        // ISA-L computes a header's own checksum (flag 2) wrongly when the header comes in pieces.
        if input.available.count >= 4, input.available[3] & 2 != 0 {
            while !input.isFull, try input.refill() {}
        }
        let available = input.available
        if available.count >= 2, available[0] == 0x1f, available[1] == 0x8b {
            isal_inflate_reset(state)
            state.pointee.crc_flag = UInt32(ISAL_GZIP)
            phase = .inMember
            return
        }
        guard !first else { throw CacheError(.invalidInput, "\(name) is not a gzip stream") }
        while true {
            guard input.available.allSatisfy({ $0 == 0 }) else {
                throw CacheError(.invalidInput, "\(name) has garbage behind its gzip data")
            }
            input.consume(input.available.count)
            guard try input.refill() else { break }
        }
        phase = .ended
    }

    /// One step of ISA-L; 0 when it needs more input or has finished a member.
    private func inflate(into buffer: UnsafeMutableRawBufferPointer) throws -> Int {
        let available = input.available
        let room = min(buffer.count, Int(UInt32.max))
        state.pointee.next_in = UnsafeMutablePointer(
            mutating: available.baseAddress?.assumingMemoryBound(to: UInt8.self))
        state.pointee.avail_in = UInt32(available.count)
        state.pointee.next_out = buffer.baseAddress?.assumingMemoryBound(to: UInt8.self)
        state.pointee.avail_out = UInt32(room)
        let status = isal_inflate(state)
        guard status >= 0 else { throw CacheError(.corrupt, "\(name) is damaged: \(Self.reason(status))") }
        let consumed = available.count - Int(state.pointee.avail_in)
        input.consume(consumed)
        let count = room - Int(state.pointee.avail_out)
        if state.pointee.block_state == ISAL_BLOCK_FINISH {
            phase = .betweenMembers(first: false)
        } else if count == 0, consumed == 0, try !input.refill() {
            throw CacheError(.corrupt, "\(name) is truncated: its gzip data ends too early")
        }
        return count
    }

    private static func reason(_ status: Int32) -> String {
        switch status {
        case ISAL_INCORRECT_CHECKSUM: "the gzip checksum is wrong"
        case ISAL_INVALID_WRAPPER, ISAL_UNSUPPORTED_METHOD: "the gzip header is wrong"
        default: "the deflate data is malformed"
        }
    }
}
