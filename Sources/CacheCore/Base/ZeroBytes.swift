internal import Glibc

extension UnsafeRawBufferPointer {
    /// Whether all bytes are zero, at the speed of `memcmp`; usually settled at the first word.
    package var isAllZero: Bool {
        guard let start = baseAddress, count > 0 else { return true }
        // If the first byte is zero and each byte equals the one before it, all are zero.
        return self[0] == 0 && memcmp(start, start + 1, count - 1) == 0
    }
}
