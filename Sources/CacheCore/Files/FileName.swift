internal import Glibc

/// A file name or path as the kernel has it: bytes, whatever their encoding.
package struct FileName: Hashable, Sendable {
    package let bytes: [UInt8]

    package init(bytes: some Sequence<UInt8>) { self.bytes = Array(bytes) }
    package init(_ text: some StringProtocol) { bytes = Array(text.utf8) }

    package init(cString: UnsafePointer<CChar>) {
        self.init(bytes: UnsafeRawBufferPointer(start: cString, count: strlen(cString)))
    }

    /// A C string of the name; it must hold no zero byte.
    package func withCString<Result, Failure: Error>(
        _ body: (UnsafePointer<CChar>) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        try withUnsafeTemporaryAllocation(of: CChar.self, capacity: bytes.count + 1) { copy throws(Failure) in
            for index in bytes.indices { copy[index] = CChar(bitPattern: bytes[index]) }
            copy[bytes.count] = 0
            return try body(UnsafePointer(copy.baseAddress.unsafelyUnwrapped))
        }
    }
}

extension FileName: CustomStringConvertible {
    package var description: String { String(decoding: bytes, as: UTF8.self) }
}

extension FileName: Comparable {
    /// Byte order, the same under every locale.
    package static func < (left: FileName, right: FileName) -> Bool {
        let order = memcmp(left.bytes, right.bytes, min(left.bytes.count, right.bytes.count))
        return order != 0 ? order < 0 : left.bytes.count < right.bytes.count
    }
}
