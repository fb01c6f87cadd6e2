internal import Glibc

/// Options of sockets for which SwiftNIO has no name.
package enum SocketOptionName {
    /// Of TCP: how many bytes the kernel holds beyond what the other side can take now. More are not taken for it.
    package static var unsentLowWater: Int32 { TCP_NOTSENT_LOWAT }
}
