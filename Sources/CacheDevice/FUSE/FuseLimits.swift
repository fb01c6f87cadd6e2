/// What is agreed with the kernel about the size of requests, and how many of them may wait.
enum FuseLimits {
    /// The most bytes of one READ: 1 MiB, as much as a FUSE connection without privileges of its own can have.
    static let readBytes = 1 << 20
    /// Room for one request: the kernel demands 8 KiB, and room for as much as one WRITE may bring (4096 bytes), of
    /// which none comes.
    static let requestBytes = 16_384
    /// The first minor version of protocol 7 that has all that is used here (Linux 5.4).
    static let oldestMinor: UInt32 = 31
    /// The number of the root directory (FUSE_ROOT_ID).
    static let rootNumber: UInt64 = 1
    /// The first number that a file may have, after that of the root; and the last one: a place in a directory is a
    /// positive number of 64 bits.
    static let fileNumbers = (rootNumber + 1)...(UInt64(1) << 62)
    /// Reads of one device that are under way at the same time, beyond those that memory and disk answer at once.
    static let readsUnderWay = 64
    /// Reads of one filesystem that wait for a device or its bytes; what comes beyond them fails at once.
    static let waitingReads = 16_384
    /// Stretches of a device that a search for data or a hole walks over; what lies further counts as data.
    static let searchedExtents = 100_000
    /// For how long the kernel may go by names and attributes: a year. They never change, and what is removed is told.
    static let validSeconds: UInt64 = 365 * 86_400
}
