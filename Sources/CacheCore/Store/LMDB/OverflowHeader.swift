internal import CLMDB
internal import CacheFiles

/// LMDB's 16 bytes before an extent: page number (8), padding (2), flags (2), number of pages (4).
///
/// `mdb_del` frees the pages that the header names, so a damaged header would free pages that are in use. The right
/// bytes are known: the page number follows from the header's address, the rest is constant. They are written to the
/// file, because the map is read-only. That is safe: LMDB never changes committed pages, every process would write the
/// same bytes, and the map shows them at once.
enum OverflowHeader {
    private static let overflowFlag: UInt64 = 0x04

    static func repair(
        before extent: UnsafeRawBufferPointer, layout: StoreLayout, environment: Environment
    ) throws(LMDBFailure) {
        guard let start = extent.baseAddress, environment.mapAddress != 0 else { return }
        let header = start - StoreLayout.overflowHeaderBytes
        let offset = UInt(bitPattern: header) &- environment.mapAddress
        // Outside the map it is a page that this transaction has written itself and still has in memory.
        guard offset < UInt(environment.mapBytes) else { return }
        guard offset % UInt(StoreLayout.pageBytes) == 0 else {
            throw LMDBFailure(code: MDB_CORRUPTED, call: "extent header")
        }
        let number = UInt64(offset) / UInt64(StoreLayout.pageBytes)
        let kind = UInt64(layout.extentPages) << 32 | overflowFlag << 16
        // The padding may hold anything.
        let kindMask: UInt64 = 0xFFFF_FFFF_FFFF_0000
        if header.loadUnaligned(as: UInt64.self) == number,
            header.loadUnaligned(fromByteOffset: 8, as: UInt64.self) & kindMask == kind
        {
            return
        }
        let data = try environment.dataDescriptor()
        do throws(Errno) {
            try withUnsafeBytes(of: (number, kind)) { bytes throws(Errno) in
                try data.writeAll(bytes, at: Int(offset))
            }
        } catch {
            throw LMDBFailure(code: Errno.ioError.rawValue, call: "extent header")
        }
    }
}
