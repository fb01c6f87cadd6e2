extension ErofsWriter {
    /// The version of what is written, kept in the image's index: the same layers give the same bytes under the same
    /// version. Whoever changes the bytes counts it up.
    package static let version: UInt16 = 1
}
