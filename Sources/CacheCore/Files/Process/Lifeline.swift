internal import CLinux
package import CacheBase
internal import Glibc

/// One of two ends of a connection between two processes, `socketpair(2)`: each hears the other, and learns at once of
/// its death, however it dies.
package final class Lifeline: Sendable {
    /// For ``ChildSpawn/Inheritance``.
    package var descriptor: Descriptor { file.descriptor }
    private let file: OpenFile

    /// Takes over an end, as it was inherited.
    package init(_ file: OpenFile) { self.file = file }

    /// Both ends of a new one: one to keep, and one to give to a program and to let go of then.
    package static func make() throws(CacheError) -> (own: Lifeline, other: Lifeline) {
        var ends: (Int32, Int32) = (0, 0)
        try reporting("make a pair of sockets") { () throws(Errno) in
            try withUnsafeMutableBytes(of: &ends) { bytes throws(Errno) in
                _ = try retrying {
                    socketpair(
                        AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0,
                        bytes.assumingMemoryBound(to: Int32.self).baseAddress)
                }
            }
        }
        return (
            Lifeline(OpenFile(adopting: Descriptor(rawValue: ends.0), name: "lifeline")),
            Lifeline(OpenFile(adopting: Descriptor(rawValue: ends.1), name: "lifeline"))
        )
    }

    /// Sends one byte; nothing happens if the other one is dead, which ``receive()`` tells.
    package func send(_ byte: UInt8) {
        var byte = byte
        _ = Glibc.send(descriptor.rawValue, &byte, 1, Int32(MSG_NOSIGNAL))
    }

    /// Blocks until a byte has come; `nil` once the other one is dead.
    package func receive() -> UInt8? {
        var byte: UInt8 = 0
        do throws(Errno) {
            return try withUnsafeMutableBytes(of: &byte) { buffer throws(Errno) in
                try descriptor.read(into: buffer)
            } == 1 ? byte : nil
        } catch {
            // A peer that died with bytes of ours unread resets the connection.
            return nil
        }
    }
}
