import CacheCore
import CacheFiles
import NIOCore
import TestSupport
import Testing

@Suite struct PieceMemoryTests {
    private static let bytes = PieceMemory.pieceBytes
    private static let areaBytes = 4 * bytes

    @Test func aPieceIsAChunk() {
        #expect(PieceMemory.pieceBytes == ChunkLimits.plainBytes)
    }

    @Test func piecesAreDisjointAndUsedAgain() throws {
        let memory = PieceMemory(maximumIdle: 1)
        let pieces = try (0..<9).map { _ in try #require(memory.take()) }
        #expect(memory.mappedBytes == 3 * Self.areaBytes)
        for (number, piece) in pieces.enumerated() {
            UnsafeMutableRawBufferPointer(start: piece, count: Self.bytes)
                .initializeMemory(as: UInt8.self, repeating: UInt8(number))
        }
        for (number, piece) in pieces.enumerated() {
            let content = UnsafeRawBufferPointer(start: piece, count: Self.bytes)
            #expect(content.allSatisfy { $0 == UInt8(number) })
        }
        let addresses = Set(pieces.map { UInt(bitPattern: $0) })
        #expect(memory.give(pieces[4]))
        #expect(memory.take() == pieces[4])
        for piece in pieces { #expect(memory.give(piece)) }
        // One area is kept for the next chunks, the others are the system's.
        #expect(memory.mappedBytes == Self.areaBytes)
        let again = try #require(memory.take())
        #expect(addresses.contains(UInt(bitPattern: again)))
        #expect(memory.give(again))
    }

    /// While the pieces in use grow in number, the next area is ready: one, however many are taken at once.
    @Test func theNextAreaIsTouchedAhead() async throws {
        let memory = PieceMemory(maximumIdle: 0)
        var pieces = [UInt(bitPattern: memory.take())]
        for _ in 0..<3 {
            try await eventually("an area is ready") { memory.hasSpare }
            let before = memory.mappedBytes
            // The rest of the area in use, and the first piece of the one that was ready.
            for _ in 0..<4 { pieces.append(UInt(bitPattern: memory.take())) }
            #expect(memory.mappedBytes == before + Self.areaBytes)
        }
        #expect(Set(pieces).count == 13)
        for piece in pieces { #expect(memory.give(try #require(UnsafeMutableRawPointer(bitPattern: piece)))) }
        #expect(memory.mappedBytes == 0)
    }

    /// Memory for devices is never waited for: there is a piece, or one is being made ready.
    @Test func aPieceIsReadyOrIsMadeReady() async throws {
        let memory = PieceMemory(maximumIdle: 0, isForDevices: true)
        #expect(memory.takeReady() == nil)
        try await eventually("an area is ready") { memory.hasSpare }
        let pieces = try (0..<4).map { _ in try #require(memory.takeReady()) }
        for (number, piece) in pieces.enumerated() {
            UnsafeMutableRawBufferPointer(start: piece, count: Self.bytes)
                .initializeMemory(as: UInt8.self, repeating: UInt8(number))
        }
        for (number, piece) in pieces.enumerated() {
            #expect(UnsafeRawBufferPointer(start: piece, count: Self.bytes).allSatisfy { $0 == UInt8(number) })
            #expect(memory.give(piece))
        }
        #expect(memory.mappedBytes == 0)
    }

    @Test func knowsWhatIsNotItsOwn() {
        let memory = PieceMemory(maximumIdle: 0)
        let other = UnsafeMutableRawPointer.allocate(byteCount: 64, alignment: 16)
        defer { other.deallocate() }
        #expect(!memory.give(other))
    }

    /// Buffers outlive one another in any order, on several threads, and nobody writes into another's memory.
    @Test func threadsShareIt() async throws {
        let memory = PieceMemory(maximumIdle: 2)
        try await withThrowingTaskGroup(of: Void.self) { group in
            for task in 0..<8 {
                group.addTask {
                    var random = SeededGenerator(seed: UInt64(task))
                    var held: [(piece: UInt, mark: UInt64)] = []
                    for step in 0..<2_000 {
                        if held.count < 6, random.next() % 2 == 0 {
                            let piece = try #require(memory.take())
                            let mark = UInt64(task) << 32 | UInt64(step)
                            piece.storeBytes(of: mark, as: UInt64.self)
                            held.append((UInt(bitPattern: piece), mark))
                        } else if let (address, mark) = held.popLast() {
                            let piece = try #require(UnsafeMutableRawPointer(bitPattern: address))
                            #expect(piece.load(as: UInt64.self) == mark)
                            #expect(memory.give(piece))
                        }
                    }
                    for (address, _) in held {
                        #expect(memory.give(try #require(UnsafeMutableRawPointer(bitPattern: address))))
                    }
                }
            }
            try await group.waitForAll()
        }
        #expect(memory.mappedBytes == 2 * Self.areaBytes)
    }

    /// A buffer that grows or shrinks out of its piece keeps its bytes; one that others hold is not written to.
    @Test func buffersKeepTheirBytes() {
        var buffer = ChunkMemory.allocator.buffer(capacity: Self.bytes)
        buffer.writeRepeatingByte(7, count: Self.bytes)
        let slice = buffer.getSlice(at: 1000, length: 50)
        buffer.writeRepeatingByte(8, count: 100_000)
        #expect(buffer.readableBytes == Self.bytes + 100_000)
        #expect(buffer.readableBytesView.prefix(Self.bytes).allSatisfy { $0 == 7 })
        #expect(buffer.readableBytesView.suffix(100_000).allSatisfy { $0 == 8 })
        #expect(slice == ByteBuffer(repeating: 7, count: 50))

        var small = ChunkMemory.allocator.buffer(capacity: 100)
        small.writeRepeatingByte(5, count: 100)
        small.reserveCapacity(Self.bytes)
        small.writeRepeatingByte(6, count: Self.bytes - 100)
        #expect(small.readableBytesView.prefix(100).allSatisfy { $0 == 5 })
        #expect(small.readableBytesView.suffix(Self.bytes - 100).allSatisfy { $0 == 6 })
    }
}
