/// What the two queues hold at the moment of a decision.
package struct QueueOccupancy: Sendable {
    package var smallBytes: UInt64
    package var mainBytes: UInt64
    package var mainChunks: UInt64

    package var bytes: UInt64 { smallBytes &+ mainBytes }

    package init(smallBytes: UInt64, mainBytes: UInt64, mainChunks: UInt64) {
        self.smallBytes = smallBytes
        self.mainBytes = mainBytes
        self.mainChunks = mainChunks
    }
}
