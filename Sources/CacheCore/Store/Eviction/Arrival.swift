/// How a chunk that is to be stored stands with ``S3FIFO``, while others leave for it. The default is for room that no
/// chunk in particular needs.
package struct Arrival: Sendable {
    enum Standing: Sendable {
        case newcomer
        /// It may have the place of main's oldest chunk, if nobody has read that one.
        case challenger
        case winner
        case loser
    }

    var standing = Standing.newcomer
    /// Its eviction is remembered.
    package internal(set) var isReturning = false

    package init() {}
}
