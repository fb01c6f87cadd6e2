internal import CLMDB
internal import CacheFiles

/// A call into LMDB that failed, with LMDB's words for it. Internal: what leaves the store is a ``CacheError``.
struct LMDBFailure: Error, CustomStringConvertible {
    let code: Int32
    let call: StaticString

    /// Not LMDB's: the kernel could not give a page of the map.
    static let unreadableMap = LMDBFailure(
        code: .min, call: "data.mdb cannot be read: the disk fails, or it was cut off")

    var description: String {
        isUnreadable ? "\(call)" : "\(call): \(String(cString: mdb_strerror(code)))"
    }

    /// No page is free for this transaction; pages that it frees itself become usable two commits later.
    var isMapFull: Bool { code == MDB_MAP_FULL || code == MDB_TXN_FULL }
    /// The disk took less than it was given; LMDB calls a short write an I/O error.
    var isDiskFull: Bool { [.noSpace, .diskQuotaExceeded, .fileTooLarge, .ioError].contains(Errno(rawValue: code)) }
    /// Another process holds the lock that stands for this one's number.
    var isProcessNumberTaken: Bool { Errno(rawValue: code) == .wouldBlock }
    /// The disk could not read what there is: nothing is known of it.
    var isUnreadable: Bool { code == Self.unreadableMap.code }
    var isReadersFull: Bool { code == MDB_READERS_FULL }
    /// The environment itself is broken: trying again with it is of no use.
    var isFatal: Bool {
        switch code {
        case MDB_PANIC, MDB_CORRUPTED, MDB_PAGE_NOTFOUND, MDB_INVALID, MDB_VERSION_MISMATCH, MDB_CURSOR_FULL,
            MDB_PAGE_FULL, MDB_INCOMPATIBLE, MDB_BAD_VALSIZE, MDB_KEYEXIST, MDB_BAD_DBI, MDB_BAD_TXN, MDB_BAD_RSLOT,
            // The map never grows, and no call is made with arguments that are not valid.
            MDB_MAP_RESIZED, Errno.badArgument.rawValue, Self.unreadableMap.code:
            return true
        default: return false
        }
    }
}

/// Throws what `code` stands for, unless it is success.
@inline(__always)
func checked(_ call: StaticString, _ code: Int32) throws(LMDBFailure) {
    if code != MDB_SUCCESS { throw LMDBFailure(code: code, call: call) }
}

extension MDB_val {
    /// A value of LMDB that refers to `bytes`; LMDB only reads keys and values that it is given.
    init(_ bytes: UnsafeRawBufferPointer) {
        self.init(mv_size: bytes.count, mv_data: UnsafeMutableRawPointer(mutating: bytes.baseAddress))
    }

    var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: mv_data, count: mv_size) }
}
