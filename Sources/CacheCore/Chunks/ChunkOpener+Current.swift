internal import NIOPosix

extension ChunkOpener {
    // Safe without a lock: the variable gives each thread its own value and never another's.
    nonisolated(unsafe) private static let perThread = ThreadSpecificVariable<ChunkOpener>()

    /// The calling thread's own opener, made at its first use: about 700 KiB a thread that opens chunks.
    public static var current: ChunkOpener {
        if let opener = perThread.currentValue { return opener }
        let opener = ChunkOpener()
        perThread.currentValue = opener
        return opener
    }
}
