/// What is agreed with the kernel about the size of requests.
enum FuseLimits {
    /// The most bytes of one READ: 1 MiB, as much as a FUSE connection without privileges of its own can have.
    static let readBytes = 1 << 20
}
