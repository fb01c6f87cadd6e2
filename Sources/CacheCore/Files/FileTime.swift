/// A time that a filesystem keeps of a file.
package struct FileTime: Hashable, Sendable {
    /// Since 1970, negative before.
    package let seconds: Int
    /// After that second, below 1,000,000,000.
    package let nanoseconds: Int

    package init(seconds: Int, nanoseconds: Int) {
        self.seconds = seconds
        self.nanoseconds = nanoseconds
    }

    /// Nanoseconds since 1970.
    package var sinceEpoch: Int64 { Int64(seconds) &* 1_000_000_000 &+ Int64(nanoseconds) }
}
