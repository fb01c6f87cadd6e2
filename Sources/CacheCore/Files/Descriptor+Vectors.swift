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
