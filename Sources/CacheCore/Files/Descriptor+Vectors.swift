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
}
