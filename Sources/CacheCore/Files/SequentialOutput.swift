/// A file written from front to back, with room on the disk set aside ahead of what is written: a filesystem that need
/// not find room page by page takes half the time for a write (ext4: 37 instead of 63 ms for 400 MB).
///
/// Where room cannot be set aside (pipes, other filesystems, an almost full disk) it just writes.
package final class SequentialOutput {
    let file: OpenFile
    /// Bytes written so far.
    package private(set) var position = 0
    private var reserved = 0
    private var canReserve = true

    /// A file that stays smaller than this gets by without.
    private static let firstReservation = 4 << 20
    private static let reservation = 64 << 20

    package init(_ file: OpenFile) { self.file = file }

    package func write(_ bytes: UnsafeRawBufferPointer) throws {
        if canReserve, position + bytes.count > max(reserved, Self.firstReservation) { reserve(bytes.count) }
        try file.write(bytes)
        position += bytes.count
    }

    private func reserve(_ count: Int) {
        let length = max(count, Self.reservation)
        do throws(Errno) {
            // The size of the file stays what was written.
            try file.descriptor.reserve(position..<position + length, keepingSize: true)
            reserved = position + length
        } catch {
            canReserve = false
        }
    }

    /// Gives back the room that was not used.
    package func finish() throws {
        guard reserved > position else { return }
        reserved = position
        try reporting("set the size of \(file.name)") { () throws(Errno) in
            try file.descriptor.truncate(to: position)
        }
    }
}
