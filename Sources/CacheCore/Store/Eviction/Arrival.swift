/// How a chunk that is to be stored stands with ``S3FIFO``, while others leave for it. The default is for room that no
/// chunk in particular needs.
package struct Arrival: Sendable {
    enum Standing: Sendable {
        /// Has no claim on the main queue, or has it no more.
        case newcomer
        /// Was asked for before: may have the place of main's oldest chunk.
        case challenger
        /// Was not, and may have it all the same if nobody wants that one.
        case trial
    }

    var standing = Standing.newcomer
    /// Each chunk of main that it has met so far left for it.
    var hasWon = false
    /// How often it was asked for of late, this time included.
    var frequency: UInt8 = 0
    /// What it takes, as occupancies count.
    var bytes: UInt64 = 0

    package init() {}

    /// It was asked for before, not long ago.
    package var isReturning: Bool { frequency > 1 }
}
