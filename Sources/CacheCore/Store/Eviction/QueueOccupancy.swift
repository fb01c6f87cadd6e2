/// What the two queues hold at the moment of a decision.
package struct QueueOccupancy: Sendable {
    package var smallBytes: UInt64
    package var mainBytes: UInt64
    /// In both.
    package var chunks: UInt64

    package init(smallBytes: UInt64, mainBytes: UInt64, chunks: UInt64) {
        self.smallBytes = smallBytes
        self.mainBytes = mainBytes
        self.chunks = chunks
    }

    package var bytes: UInt64 { smallBytes &+ mainBytes }
}
