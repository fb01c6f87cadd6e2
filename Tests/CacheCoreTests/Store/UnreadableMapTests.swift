import CacheCore
import Glibc
import NIOCore
import TestSupport
import Testing

@testable import CacheStore

/// What the kernel cannot give of LMDB's maps ends no process: a file that is cut off in the middle of a read is like a
/// disk that fails then.
@Suite struct UnreadableMapTests {
    private let directory: TemporaryDirectory

    init() throws { directory = try TemporaryDirectory() }

    private func sealed(_ seed: UInt64) -> ByteBuffer {
        var generator = SeededGenerator(seed: seed)
        return ByteBuffer(bytes: (0..<200_000).map { _ in UInt8.random(in: 0...255, using: &generator) })
    }

    @Test(arguments: ["data.mdb", "lock.mdb"]) func aFileThatIsCutOffInTheMiddleOfARead(_ name: String) async throws {
        let store = try openStore(directory)
        let chunks = (0..<8).map { sealed($0) }
        for chunk in chunks { _ = try await store.put(ChunkID(of: chunk), chunk) }
        for round in 0..<2 {
            let id = ChunkID(of: chunks[round])
            var memory = ByteBuffer(repeating: 0, count: ChunkLimits.sealedBytes)
            let seen = try store.withSealed(id, touch: false) { sealed throws(SealedExtents.Unreadable) in
                #expect(truncate("\(directory.path)/\(name)", 0) == 0)
                try memory.withUnsafeMutableReadableBytes { memory throws(SealedExtents.Unreadable) in
                    try sealed.copy(to: memory)
                }
                return sealed.byteCount
            }
            // What was read in a file that is not there any more was never read.
            #expect(seen == (name == "data.mdb" ? nil : 200_000))
            if let seen { #expect(memory.getSlice(at: 0, length: seen) == chunks[round]) }
            // Writers wait until it is open again, and readers find what they put.
            for chunk in chunks { _ = try await store.put(ChunkID(of: chunk), chunk) }
            for chunk in chunks { #expect(try store.read(ChunkID(of: chunk)) == chunk) }
        }
        #expect(store.statistics.faults.reopenings >= 2)
        await store.close()
    }
}

extension ChunkID {
    /// The name of sealed bytes.
    init(of bytes: ByteBuffer) { self = bytes.withUnsafeReadableBytes { ChunkID(ofSealed: $0) } }
}
