import Foundation
import NIOCore
import TestSupport
import Testing

extension TestServer {
    /// Flips one byte in the middle of a chunk wherever it lies in the files of the store, which may be in use.
    func damage(_ chunk: TestChunk) throws { try StoreDamage.flip(chunk, in: directory) }

    func report(_ chunk: TestChunk) async throws -> Reply { try await call("POST", url(chunk.id) + "/damaged") }
}

enum StoreDamage {
    /// - Returns: where in the file the byte is.
    @discardableResult
    static func flip(_ chunk: TestChunk, in directory: String) throws -> Int {
        let needle = Data(chunk.bytes.getBytes(at: 1_000, length: 64) ?? [])
        let content = try Data(contentsOf: URL(fileURLWithPath: directory + "/data.mdb"))
        let range = try #require(content.range(of: needle), "the chunk is not in the store")
        try flip(range.lowerBound, in: directory)
        return range.lowerBound
    }

    /// Flips the byte, and flips it back the second time.
    static func flip(_ place: Int, in directory: String) throws {
        let file = try FileHandle(forUpdating: URL(fileURLWithPath: directory + "/data.mdb"))
        try file.seek(toOffset: UInt64(place))
        let byte = try #require(try file.read(upToCount: 1)?.first)
        try file.seek(toOffset: UInt64(place))
        try file.write(contentsOf: [byte ^ 0x10])
        try file.close()
    }
}
