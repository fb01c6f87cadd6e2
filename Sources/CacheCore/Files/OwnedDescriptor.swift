internal import Glibc

/// A file descriptor that is closed when nobody uses it any more.
final class OwnedDescriptor: Sendable {
    let number: Int32

    /// Takes over `number`.
    init(_ number: Int32) {
        self.number = number
    }

    deinit { close(number) }
}
