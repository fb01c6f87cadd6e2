internal import CLinux
internal import Glibc

// Bytes that lie in several places of memory.
extension Descriptor {
    /// The most pieces that one call takes (UIO_MAXIOV of the kernel).
    package static var mostPieces: Int { 1024 }

    /// Writes the pieces one after the other as one, where the file stands: `writev(2)`, once.
    ///
    /// - Parameter pieces: at most ``mostPieces``.
    /// - Returns: how many bytes.
    package func write(gathering pieces: UnsafeBufferPointer<UnsafeRawBufferPointer>) throws(Errno) -> Int {
        try withUnsafeTemporaryAllocation(of: iovec.self, capacity: pieces.count) { vectors throws(Errno) in
            for (index, piece) in pieces.enumerated() {
                vectors.initializeElement(
                    at: index,
                    to: iovec(iov_base: UnsafeMutableRawPointer(mutating: piece.baseAddress), iov_len: piece.count))
            }
            return try retrying { writev(rawValue, vectors.baseAddress, Int32(pieces.count)) }
        }
    }

    /// Sends on a connected socket, without waiting: `send(2)`, once.
    ///
    /// - Returns: how many bytes the kernel has taken.
    package func send(_ bytes: UnsafeRawBufferPointer) throws(Errno) -> Int {
        try retrying { Glibc.send(rawValue, bytes.baseAddress, bytes.count, Int32(MSG_NOSIGNAL | MSG_DONTWAIT)) }
    }

    /// Sends two pieces on a connected socket as one, without waiting: `sendmsg(2)`, once.
    ///
    /// - Returns: how many bytes of both the kernel has taken.
    package func send(_ first: UnsafeRawBufferPointer, _ second: UnsafeRawBufferPointer) throws(Errno) -> Int {
        var pieces = (
            iovec(iov_base: UnsafeMutableRawPointer(mutating: first.baseAddress), iov_len: first.count),
            iovec(iov_base: UnsafeMutableRawPointer(mutating: second.baseAddress), iov_len: second.count)
        )
        return try withUnsafeMutableBytes(of: &pieces) { bytes throws(Errno) in
            var message = msghdr()
            message.msg_iov = bytes.baseAddress?.assumingMemoryBound(to: iovec.self)
            message.msg_iovlen = 2
            return try retrying { sendmsg(rawValue, &message, Int32(MSG_NOSIGNAL | MSG_DONTWAIT)) }
        }
    }

    /// Reads at `offset` into the places, one after the other: `preadv2(2)`, once.
    ///
    /// - Parameters:
    ///   - places: at most ``mostPieces``.
    ///   - onlyCached: the read ends, perhaps with an error, where it would have to wait for the disk.
    /// - Returns: how many bytes; fewer than there is room for at the end of the file, too.
    package func read(
        scattering places: UnsafeBufferPointer<UnsafeMutableRawBufferPointer>, at offset: Int, onlyCached: Bool
    ) throws(Errno) -> Int {
        try withUnsafeTemporaryAllocation(of: iovec.self, capacity: places.count) { vectors throws(Errno) in
            for (index, place) in places.enumerated() {
                vectors.initializeElement(at: index, to: iovec(iov_base: place.baseAddress, iov_len: place.count))
            }
            let flags = onlyCached ? Int32(layercache_rwf_nowait) : 0
            return try retrying {
                preadv2(rawValue, vectors.baseAddress, Int32(places.count), off_t(offset), flags)
            }
        }
    }
}
