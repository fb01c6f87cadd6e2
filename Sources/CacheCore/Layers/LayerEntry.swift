/// One entry of a layer's entry table: a line of `tar -tv`, with the place of its content.
public struct LayerEntry: Sendable, Equatable {
    /// The raw values are part of the format.
    public enum Kind: UInt8, Sendable {
        case file = 1
        case directory = 2
        case symbolicLink = 3
        case hardLink = 4
        case characterDevice = 5
        case blockDevice = 6
        case fifo = 7
    }

    /// Mode bits and owner, by which the kernel decides who may do what. 10 bytes.
    package struct Permissions: Sendable, Equatable {
        /// The number of the owning user.
        package var uid: UInt32
        /// The number of the owning group.
        package var gid: UInt32
        /// Permission bits, set-id and sticky bits: at most 0o7777.
        package var mode: UInt16

        package init(mode: UInt16 = 0, uid: UInt32 = 0, gid: UInt32 = 0) {
            self.mode = mode
            self.uid = uid
            self.gid = gid
        }
    }

    /// A point in time, to the nanosecond. 12 bytes.
    package struct ModificationTime: Sendable, Equatable {
        /// Seconds since 1970, rounded down.
        package var seconds: Int64
        /// 0 to 999,999,999.
        package var nanoseconds: UInt32

        package init(seconds: Int64 = 0, nanoseconds: UInt32 = 0) {
            self.seconds = seconds
            self.nanoseconds = nanoseconds
        }
    }

    public struct ExtendedAttribute: Sendable, Equatable {
        /// As `setxattr` takes it, e.g. `security.capability`.
        public var name: [UInt8]
        public var value: [UInt8]

        public init(name: [UInt8], value: [UInt8]) {
            self.name = name
            self.value = value
        }
    }

    /// Bytes of a sparse file that are stored; what lies between them is zero.
    public struct Segment: Sendable, Equatable {
        public var offset: UInt64
        public var length: UInt64

        public init(offset: UInt64, length: UInt64) {
            self.offset = offset
            self.length = length
        }
    }

    /// The path as the archive has it: any bytes but NUL, not always UTF-8, perhaps with `./`, `..`, a leading or a
    /// trailing slash.
    public var path: [UInt8]
    public var kind: Kind
    /// Who owns it, and who may do what with it.
    package var permissions = Permissions()
    /// When its content changed last, as the archive says.
    package var modificationTime = ModificationTime()
    /// The target of a symbolic link, or the path of the entry that a hard link names; as the archive has it.
    public var linkTarget: [UInt8] = []
    public var deviceMajor: UInt32 = 0
    public var deviceMinor: UInt32 = 0
    /// Bytes of the file as a reader sees it. (Hard links have none, but those of layers that older programs pushed
    /// may.)
    public var size: UInt64 = 0
    /// The content in the data region: all of the file, or the segments of a sparse one, one after the other; `nil` if
    /// nothing is stored.
    public var content: DataRun?
    /// What of a sparse file is stored, in ascending order; `nil` if it is not sparse.
    public var segments: [Segment]?
    public var xattrs: [ExtendedAttribute] = []

    public init(path: [UInt8], kind: Kind) {
        self.path = path
        self.kind = kind
    }

    /// The path as text, for people; what is not UTF-8 is shown as U+FFFD.
    public var displayPath: String { String(decoding: path, as: UTF8.self) }
}
