import CacheCore
import Logging
import TestSupport

extension TemporaryDirectory {
    /// Bytes that the files in it take, by their lengths.
    var bytes: UInt64 {
        names().compactMap { FileStatus(self($0))?.byteCount }.reduce(0) { $0 + UInt64($1) }
    }
}

func openStore(
    _ directory: TemporaryDirectory, capacity: UInt64 = 64 << 20, touchInterval: UInt32 = 0
) throws -> ChunkStore {
    try ChunkStore.open(
        directory.path, options: .init(capacity: capacity, touchIntervalSeconds: touchInterval), logger: .quiet)
}
