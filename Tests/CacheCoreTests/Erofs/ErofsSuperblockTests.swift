import CacheCore
import TestSupport
import Testing

@Suite struct ErofsSuperblockTests {
    private static func block() throws -> (bytes: [UInt8], device: UInt64) {
        let writer = try ErofsWriter(tree: ErofsFixture([]).tree, regionSlots: [])
        return (Array(try writer.metadata().prefix(ErofsSuperblock.blockBytes)), writer.deviceBytes)
    }

    /// All bytes of the superblock, and some of the rest of its block.
    private static let places = Array(1024..<1152) + Array(stride(from: 0, to: 4096, by: 61))

    /// As the kernel has it: CRC-32C from the superblock on, its own four bytes as zeros, not inverted at the end.
    private static func resealed(_ block: [UInt8]) -> [UInt8] {
        var block = block
        for byte in 1028..<1032 { block[byte] = 0 }
        var checksum = UInt32.max
        for byte in block[1024...] {
            checksum ^= UInt32(byte)
            for _ in 0..<8 { checksum = checksum >> 1 ^ (checksum & 1) * 0x82F6_3B78 }
        }
        for byte in 0..<4 { block[1028 + byte] = UInt8(truncatingIfNeeded: checksum >> UInt32(8 * byte)) }
        return block
    }

    @Test func ownOnesAreTaken() throws {
        let (block, device) = try Self.block()
        #expect(ErofsSuperblock.fault(in: block, deviceBytes: device) == nil)
        #expect(Self.resealed(block) == block)
    }

    @Test func aChangedByteIsAFault() throws {
        let (block, device) = try Self.block()
        for byte in Self.places {
            var changed = block
            changed[byte] ^= 0x10
            #expect(ErofsSuperblock.fault(in: changed, deviceBytes: device) != nil, "byte \(byte)")
        }
    }

    /// With a checksum that is right: all but what differs from image to image is as this version writes it.
    @Test func onlyWhatDiffersMayDiffer() throws {
        let (block, device) = try Self.block()
        // The root's number, how many inodes, the identifier, and whether there are files of chunks.
        let free = Set(1038..<1048).union(1072..<1088).subtracting([1078, 1080]).union([1104])
        for byte in Self.places where byte >= 1024 && !(1028..<1032).contains(byte) && !free.contains(byte) {
            var changed = block
            changed[byte] ^= 0x40
            #expect(ErofsSuperblock.fault(in: Self.resealed(changed), deviceBytes: device) != nil, "byte \(byte)")
        }
        var chunked = block
        chunked[1104] = 4
        #expect(ErofsSuperblock.fault(in: Self.resealed(chunked), deviceBytes: device) == nil)
        chunked[1104] = 5
        #expect(ErofsSuperblock.fault(in: Self.resealed(chunked), deviceBytes: device) != nil)
    }

    @Test func otherBlocksAndDevices() throws {
        let (block, device) = try Self.block()
        #expect(ErofsSuperblock.fault(in: [], deviceBytes: 0) != nil)
        #expect(ErofsSuperblock.fault(in: Array(block.dropLast()), deviceBytes: device) != nil)
        #expect(ErofsSuperblock.fault(in: [UInt8](repeating: 0, count: block.count), deviceBytes: device) != nil)
        #expect(ErofsSuperblock.fault(in: block, deviceBytes: device + 4096) != nil)
    }
}
