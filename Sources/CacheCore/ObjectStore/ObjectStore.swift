public import CacheBase
public import NIOCore

/// What L3 must be able to do: the part of S3's semantics that this project stands on, and no more.
///
/// There is no rename, no append and no directory. An object is visible whole or not at all, and once a call that
/// writes has returned, what it wrote survives a crash of this process, of the store and of the machine.
/// Every call may block for as long as the medium takes; callers bound it with a deadline of their own.
/// All errors are ``CacheError`` and name the object.
public protocol ObjectStore: Sendable {
    /// The whole object and its version; `nil` if there is none.
    /// - Throws: `.limitExceeded` if it is longer than `limit` bytes (nothing is read then).
    func get(_ key: ObjectKey, limit: Int) async throws -> StoredObject?

    /// The bytes of an object from `range.lowerBound` up to, not including, `range.upperBound`, cut at its end; `nil` if there is no object.
    func get(_ key: ObjectKey, range: Range<Int>) async throws -> ByteBuffer?

    /// Size and version of an object without its bytes; `nil` if there is none.
    func head(_ key: ObjectKey) async throws -> ObjectInfo?

    /// Writes the object unless one of that name is there already.
    func putIfAbsent(_ key: ObjectKey, _ body: ByteBuffer) async throws -> PutOutcome

    /// Compare-and-swap: writes the object if its version is still `expected` (`nil`: if there is none).
    /// - Returns: the new version, or `nil` if somebody else was first; nothing is written then.
    func replace(_ key: ObjectKey, _ body: ByteBuffer, expecting expected: ObjectVersion?) async throws
        -> ObjectVersion?

    /// Deletes the object; deleting what is not there is no error.
    func delete(_ key: ObjectKey) async throws

    /// One page of names in byte order.
    /// - Parameters:
    ///   - prefix: only names that begin with it.
    ///   - delimiter: if true, names that have a `/` after the prefix are folded into ``ObjectPage/prefixes``, each once.
    ///   - after: only names (and prefixes) that come after this one.
    ///   - limit: the most names and prefixes in the page: 1 to 1,000.
    func list(prefix: String, delimiter: Bool, after: String?, limit: Int) async throws -> ObjectPage
}

/// An opaque version of an object: equal for as long as its bytes are.
public struct ObjectVersion: Hashable, Sendable {
    public let rawValue: String
    public init(_ rawValue: String) { self.rawValue = rawValue }
}

/// An object's size in bytes and its version.
public struct ObjectInfo: Hashable, Sendable {
    public let size: Int
    public let version: ObjectVersion
    public init(size: Int, version: ObjectVersion) {
        self.size = size
        self.version = version
    }
}

/// An object's bytes and its version.
public struct StoredObject: Sendable {
    public let body: ByteBuffer
    public let version: ObjectVersion
    public init(body: ByteBuffer, version: ObjectVersion) {
        self.body = body
        self.version = version
    }
}

/// One page of a listing.
public struct ObjectPage: Sendable, Equatable {
    /// Names with their sizes, in byte order.
    public var objects: [(key: ObjectKey, size: Int)]
    /// Folded prefixes, each ending in `/`, in byte order.
    public var prefixes: [String]
    /// What stands among them and can be no object (in a directory: symbolic links and special files), in byte order; not counted by the
    /// limit.
    public var foreign: [String]
    /// Give this as `after` to get the next page; `nil` if this was the last.
    public var next: String?

    public init(
        objects: [(key: ObjectKey, size: Int)], prefixes: [String], foreign: [String] = [], next: String?
    ) {
        self.objects = objects
        self.prefixes = prefixes
        self.foreign = foreign
        self.next = next
    }

    public static func == (left: ObjectPage, right: ObjectPage) -> Bool {
        left.prefixes == right.prefixes && left.foreign == right.foreign && left.next == right.next
            && left.objects.elementsEqual(right.objects) { $0.key == $1.key && $0.size == $1.size }
    }
}
