internal import NIOCore

/// Bytes for the client.
struct NBDReply {
    /// Heads of replies; whole replies, where they have no data of the device.
    let head: ByteBuffer
    /// What follows: slices of chunks in memory, never copied.
    var data: [ByteBuffer] = []
    /// What of the connection's budget is free again when the kernel has taken all of it.
    var charge = 0
}

/// Replies of the transmission phase as bytes.
struct NBDReplyWriter {
    private typealias Chunk = NBDProtocol.Chunk

    let isStructured: Bool

    /// The answer to a request that asks for no data, or whose failure is known before there is any.
    func done(_ cookie: UInt64, _ error: NBDError? = nil) -> ByteBuffer {
        var buffer = ByteBuffer()
        buffer.writeMultipleIntegers(NBDProtocol.simpleReplyMagic, error?.rawValue ?? 0, cookie)
        return buffer
    }

    /// The failure of a request whose answers are chunks, if chunks were agreed on.
    func failed(_ cookie: UInt64, _ error: NBDError) -> ByteBuffer {
        guard isStructured else { return done(cookie, error) }
        var buffer = chunk(cookie, Chunk.error, payload: 6, isLast: true)
        buffer.writeMultipleIntegers(error.rawValue, UInt16(0))
        return buffer
    }

    /// The failure of one piece.
    func failed(_ cookie: UInt64, _ error: NBDError, at offset: UInt64, isLast: Bool) -> ByteBuffer {
        guard isStructured else { return done(cookie, error) }
        var buffer = chunk(cookie, Chunk.errorOffset, payload: 14, isLast: isLast)
        buffer.writeMultipleIntegers(error.rawValue, UInt16(0), offset)
        return buffer
    }

    /// What comes before `count` bytes of the device.
    func dataHead(_ cookie: UInt64, at offset: UInt64, count: Int, isLast: Bool) -> ByteBuffer {
        guard isStructured else { return done(cookie) }
        var buffer = chunk(cookie, Chunk.offsetData, payload: 8 + count, isLast: isLast)
        buffer.writeInteger(offset)
        return buffer
    }

    func hole(_ cookie: UInt64, at offset: UInt64, count: Int, isLast: Bool) -> ByteBuffer {
        var buffer = chunk(cookie, Chunk.offsetHole, payload: 12, isLast: isLast)
        buffer.writeMultipleIntegers(offset, UInt32(count))
        return buffer
    }

    /// The answer to a READ of nothing.
    func nothing(_ cookie: UInt64) -> ByteBuffer {
        isStructured ? chunk(cookie, Chunk.none, payload: 0, isLast: true) : done(cookie)
    }

    func blockStatus(_ cookie: UInt64, _ extents: [DeviceStretch]) -> ByteBuffer {
        var buffer = chunk(cookie, Chunk.blockStatus, payload: 4 + 8 * extents.count, isLast: true)
        buffer.writeInteger(NBDProtocol.allocationContextID)
        let zeros = NBDProtocol.Allocation.hole | NBDProtocol.Allocation.zero
        for extent in extents { buffer.writeMultipleIntegers(extent.count, extent.isZero ? zeros : 0) }
        return buffer
    }

    private func chunk(_ cookie: UInt64, _ type: UInt16, payload: Int, isLast: Bool) -> ByteBuffer {
        var buffer = ByteBuffer()
        buffer.reserveCapacity(20 + min(payload, 64))
        let flags = isLast ? NBDProtocol.chunkIsLast : 0
        buffer.writeMultipleIntegers(
            NBDProtocol.structuredReplyMagic, flags, type, cookie, UInt32(payload))
        return buffer
    }
}

/// A stretch of a device of one sort, as long as a reply can say.
struct DeviceStretch: Equatable {
    var count: UInt32
    let isZero: Bool
}
