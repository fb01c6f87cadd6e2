internal import CacheClient

/// What a server shows its clients: one device under one name.
struct NBDExport: Sendable {
    let name: String
    let byteCount: UInt64
    /// ``BlockDevice/extent(at:)`` of the device.
    let extent: @Sendable (UInt64) -> DeviceExtent

    init(name: String, device: any BlockDevice) {
        self.name = name
        byteCount = device.byteCount
        extent = { device.extent(at: $0) }
    }

    /// Whether a client that names an export means this one; the empty name is that of the default export.
    func isCalled(_ name: String) -> Bool { name.isEmpty || name == self.name }

    /// Flags of the transmission phase.
    func flags(structured: Bool) -> UInt16 {
        typealias Flag = NBDProtocol.TransmissionFlag
        // What never changes is the same through every connection.
        let always = Flag.hasFlags | Flag.readOnly | Flag.sendFlush | Flag.canMultiConnect | Flag.sendCache
        return structured ? always | Flag.sendDontFragment : always
    }

    /// The stretch of one sort that begins at `offset`, at most `most` bytes of it.
    ///
    /// Extents that follow one another are put together, at most `steps` of them: so a device of many small ones costs
    /// a bounded time. At least one byte, whatever a device says.
    func stretch(at offset: UInt64, atMost most: UInt64, steps: Int) -> DeviceExtent {
        let first = extent(offset)
        var count = min(max(first.count, 1), most)
        for _ in 1..<max(steps, 2) where count < most {
            let next = extent(offset + count)
            guard next.isZero == first.isZero, next.count > 0 else { break }
            count += min(next.count, most - count)
        }
        return DeviceExtent(count: count, isZero: first.isZero)
    }
}
