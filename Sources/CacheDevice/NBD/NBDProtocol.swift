internal import NIOCore

/// Numbers of the NBD protocol, as doc/proto.md of github.com/NetworkBlockDevice/nbd has them; all are big-endian on
/// the wire.
enum NBDProtocol {
    /// `NBDMAGIC`.
    static let greetingMagic: UInt64 = 0x4E42_444D_4147_4943
    /// `IHAVEOPT`.
    static let optionMagic: UInt64 = 0x4948_4156_454F_5054
    static let optionReplyMagic: UInt64 = 0x0003_E889_0455_65A9
    static let requestMagic: UInt32 = 0x2560_9513
    static let simpleReplyMagic: UInt32 = 0x6744_6698
    static let structuredReplyMagic: UInt32 = 0x668E_33EF
    /// Bytes of a request's header.
    static let requestBytes = 28
    /// The one way to describe what is where: which ranges are holes, and which read as zeros.
    static let allocationContext = "base:allocation"
    static let allocationContextID: UInt32 = 1

    /// In both directions of the greeting.
    enum HandshakeFlag {
        static let fixedNewstyle: UInt32 = 1
        static let noZeroes: UInt32 = 2
    }

    enum Option {
        static let exportName: UInt32 = 1
        static let abort: UInt32 = 2
        static let list: UInt32 = 3
        static let startTLS: UInt32 = 5
        static let info: UInt32 = 6
        static let go: UInt32 = 7
        static let structuredReply: UInt32 = 8
        static let listMetaContext: UInt32 = 9
        static let setMetaContext: UInt32 = 10
    }

    enum OptionReply {
        static let acknowledged: UInt32 = 1
        static let server: UInt32 = 2
        static let info: UInt32 = 3
        static let metaContext: UInt32 = 4
        static let unsupported: UInt32 = 1 << 31 | 1
        static let policy: UInt32 = 1 << 31 | 2
        static let invalid: UInt32 = 1 << 31 | 3
        static let unknown: UInt32 = 1 << 31 | 6
    }

    enum Info {
        static let export: UInt16 = 0
        static let name: UInt16 = 1
        static let blockSize: UInt16 = 3
    }

    enum TransmissionFlag {
        static let hasFlags: UInt16 = 1
        static let readOnly: UInt16 = 1 << 1
        static let sendFlush: UInt16 = 1 << 2
        static let sendDontFragment: UInt16 = 1 << 7
        static let canMultiConnect: UInt16 = 1 << 8
        static let sendCache: UInt16 = 1 << 10
    }

    enum Command {
        static let read: UInt16 = 0
        static let write: UInt16 = 1
        static let disconnect: UInt16 = 2
        static let flush: UInt16 = 3
        static let trim: UInt16 = 4
        static let cache: UInt16 = 5
        static let writeZeroes: UInt16 = 6
        static let blockStatus: UInt16 = 7
    }

    enum CommandFlag {
        static let dontFragment: UInt16 = 1 << 2
        static let requestOne: UInt16 = 1 << 3
    }

    enum Chunk {
        static let none: UInt16 = 0
        static let offsetData: UInt16 = 1
        static let offsetHole: UInt16 = 2
        static let blockStatus: UInt16 = 5
        static let error: UInt16 = 1 << 15 | 1
        static let errorOffset: UInt16 = 1 << 15 | 2
    }

    static let chunkIsLast: UInt16 = 1

    /// What a range is, in `base:allocation`.
    enum Allocation {
        static let hole: UInt32 = 1
        static let zero: UInt32 = 2
    }
}

/// Why a request failed: numbers of the protocol, whatever those of the system are.
enum NBDError: UInt32, Error {
    case notPermitted = 1
    case io = 5
    case invalid = 22
}
